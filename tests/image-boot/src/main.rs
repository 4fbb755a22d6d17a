//! Boots the images under emulation and shows what they do: serve where they should, refuse where they must, and
//! measure what was predicted.
//!
//! Every check boots a separate machine. The hardware is emulated, so what is shown is the image's behaviour and the
//! measurements that a TPM gets; no quote and no launch digest is made here.

mod chat;
mod check;
mod host;
mod measured;
mod refusals;
mod stage;
mod state;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;

use check::Checks;
use stage::Stage;

/// Boots the images gateway and test under emulation and checks what they do.
#[derive(Debug, Parser)]
#[command(name = "image-boot", version)]
struct Arguments {
    /// The repository
    #[arg(long, value_name = "DIR", default_value = ".")]
    workspace: PathBuf,
    /// Where `image build` has put the images
    #[arg(long, value_name = "DIR", default_value = "target/image")]
    images: PathBuf,
    /// The verifier that plays the client
    #[arg(long, value_name = "FILE")]
    verifier: PathBuf,
    /// A folder with packages that the mirror may not have any more
    #[arg(long, value_name = "DIR")]
    archive: Option<PathBuf>,
    /// Only checks whose name has this in it
    #[arg(long, value_name = "TEXT")]
    only: Option<String>,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let stage = match Stage::set(&arguments) {
        Ok(stage) => stage,
        Err(error) => {
            eprintln!("image-boot: {error:#}");
            return ExitCode::FAILURE;
        }
    };
    let mut checks = Checks::new(arguments.only);
    checks.run(
        "the test image serves a chat that the client verified, and measures what was predicted",
        || measured::chat_and_measurements(&stage),
    );
    checks.run(
        "the gateway image without a configuration is refused",
        || refusals::without_configuration(&stage),
    );
    checks.run("the gateway image without a TEE does not serve", || {
        refusals::without_a_tee(&stage)
    });
    checks.run(
        "a flipped byte in a program of the root ends the machine",
        || refusals::flipped_program(&stage),
    );
    checks.run("a flipped byte in the hash tree ends the machine", || {
        refusals::flipped_tree(&stage)
    });
    checks.run(
        "a flipped byte in the root's first block ends the machine",
        || refusals::flipped_superblock(&stage),
    );
    checks.run("the root of another image is refused", || {
        refusals::another_root(&stage)
    });
    checks.run("a command line of the host's is refused", || {
        host::command_line(&stage)
    });
    checks.run("words that the host adds by SMBIOS are refused", || {
        host::smbios(&stage)
    });
    checks.run(
        "an initial file system of the host's is refused or measured",
        || host::initial_file_system(&stage),
    );
    checks.run(
        "files beside the image on a system partition are refused",
        || host::beside_the_image(&stage),
    );
    checks.run("an item of fw_cfg changes nothing", || host::fw_cfg(&stage));
    if stage.has("test-state") {
        checks.run(
            "a state disk holds nothing that the host can read, and nothing that the next boot can",
            || state::encrypted_and_new_at_each_boot(&stage),
        );
        checks.run("a state disk that is too small is refused", || {
            state::too_small(&stage)
        });
        checks.run(
            "an image that wants a state disk does not start without one",
            || state::absent(&stage),
        );
    } else {
        println!("– the image test-state was not built: it is not checked");
    }
    if stage.has("inference") {
        checks.run(
            "the inference image starts its engine on its model, and does not serve without a TEE",
            || refusals::inference_without_a_tee(&stage),
        );
        checks.run("a flipped byte in the model ends the machine", || {
            refusals::flipped_model(&stage)
        });
    } else {
        println!("– the image inference was not built: it is not checked (needs --model FILE)");
    }
    if stage.has("test-inference") {
        checks.run(
            "the inference image on the software platform answers a prompt from its model",
            || measured::chat_with_a_model(&stage),
        );
    } else {
        println!("– the image test-inference was not built: no prompt is sent to a model");
    }
    checks.conclude()
}
