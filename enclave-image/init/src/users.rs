//! Resolves user names with the verified root's `/etc/passwd`.

use crate::mounts::Owner;

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UserError {
    #[error("there is no user {0}")]
    Unknown(String),

    /// Nothing that PID 1 starts is root, nor in root's group.
    #[error("{0} is root or in root's group")]
    Root(String),

    #[error("/etc/passwd has a line that cannot be read for {0}")]
    Line(String),
}

/// User and group of `name`: lines of `name:x:uid:gid:…`.
pub fn find(passwd: &str, name: &str) -> Result<Owner, UserError> {
    let line = passwd
        .lines()
        .find(|line| line.split(':').next() == Some(name));
    let line = line.ok_or_else(|| UserError::Unknown(name.to_owned()))?;
    let number = |index: usize| line.split(':').nth(index)?.parse::<u32>().ok();
    let (Some(user), Some(group)) = (number(2), number(3)) else {
        return Err(UserError::Line(name.to_owned()));
    };
    if user == 0 || group == 0 {
        return Err(UserError::Root(name.to_owned()));
    }
    Ok(Owner { user, group })
}

#[cfg(test)]
mod tests {
    use super::*;

    const PASSWD: &str =
        "root:x:0:0:root:/:/none\nsealgate:x:990:990::/:/none\nwheel:x:5:0::/:/none\nodd:x:a:1\n";

    #[test]
    fn a_user_is_found_by_the_whole_name() {
        assert_eq!(
            find(PASSWD, "sealgate"),
            Ok(Owner {
                user: 990,
                group: 990
            })
        );
        assert_eq!(find(PASSWD, "seal"), Err(UserError::Unknown("seal".into())));
    }

    #[test]
    fn a_service_cannot_run_as_root_or_in_its_group() {
        assert_eq!(find(PASSWD, "root"), Err(UserError::Root("root".into())));
        assert_eq!(find(PASSWD, "wheel"), Err(UserError::Root("wheel".into())));
        assert_eq!(find(PASSWD, "odd"), Err(UserError::Line("odd".into())));
    }
}
