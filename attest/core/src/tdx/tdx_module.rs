//! The TDX module a TD was launched under, compared with Intel's description of it.

use super::body::TdBody;
use super::json::Assessment;
use super::levels::LevelError;
use super::qe_identity::agrees;
use super::tcb_info::{TcbInfo, TdxModule, TdxModuleIdentity};

/// Where a TDX module is not the one that Intel describes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TdxModuleError {
    /// Another signer.
    #[error("its signer is another")]
    Mrsigner,
    /// Other attributes than the described ones, such as those of a module for debugging.
    #[error("its attributes are others")]
    Attributes,
}

/// The description of the module that security versions name, if Intel describes it by itself: a
/// module of version 0 has its level among the platform's.
pub(super) fn identity<'i>(
    info: &'i TcbInfo,
    tee_tcb_svn: &[u8; 16],
) -> Result<Option<&'i TdxModuleIdentity>, LevelError> {
    let [_, version, ..] = *tee_tcb_svn;
    if version == 0 {
        return Ok(None);
    }
    let id = format!("TDX_{version:02X}");
    let mut identities = info.module_identities.iter();
    let found = identities.find(|identity| identity.id == id);
    found.map(Some).ok_or(LevelError::UnknownModule { version })
}

/// The module's own level, by its own security version.
pub(super) fn level<'i>(
    info: &'i TcbInfo,
    tee_tcb_svn: &[u8; 16],
) -> Result<Option<&'i Assessment>, LevelError> {
    let Some(identity) = identity(info, tee_tcb_svn)? else {
        return Ok(None);
    };
    let [isvsvn, ..] = *tee_tcb_svn;
    let mut levels = identity.levels.iter();
    let level = levels.find(|(svn, _)| isvsvn >= *svn);
    level
        .map(|(_, assessment)| Some(assessment))
        .ok_or(LevelError::ModuleTooOld { isvsvn })
}

/// Signer and attributes of the module that the TD was launched under.
pub(super) fn check(info: &TcbInfo, body: &TdBody) -> Result<(), TdxModuleError> {
    let own = identity(info, &body.tee_tcb_svn).ok().flatten();
    let described: &TdxModule = own.map_or(&info.module, |identity| &identity.module);
    if body.mrsignerseam != described.mrsigner {
        return Err(TdxModuleError::Mrsigner);
    }
    let mut outside = body.seam_attributes.iter().zip(&described.attributes_mask);
    let nothing_outside = outside.all(|(got, mask)| got & !mask == 0);
    let inside = agrees(
        &body.seam_attributes,
        &described.attributes,
        &described.attributes_mask,
    );
    match inside && nothing_outside {
        true => Ok(()),
        false => Err(TdxModuleError::Attributes),
    }
}
