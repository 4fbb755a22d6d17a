//! Starts a program: as another user, with no other groups, an empty environment and no input.
//!
//! Limits, the empty bounding set and `no_new_privs` are PID 1's own by then (`hardening`) and inherited. Signal
//! handlers are not: `exec` puts the defaults back.

use std::net::TcpStream;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, Command as Process, ExitStatus, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use super::plan::{Command, Ready, Service};
use super::{Ending, ServiceError, output};
use crate::console::say;
use crate::mounts::Owner;
use crate::os::Doing;

const PREPARATION: Duration = Duration::from_secs(120);
const PAUSE: Duration = Duration::from_millis(100);
const CONNECT: Duration = Duration::from_secs(1);

/// A service that was started.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Running {
    pub name: String,
    pub pid: u32,
}

/// Starts the services, each when the one before it is ready.
pub fn start_all(services: &[(Service, Owner)]) -> Result<Vec<Running>, ServiceError> {
    let mut running = Vec::new();
    for (service, owner) in services {
        for step in &service.prepare {
            prepare(service, *owner, step)?;
        }
        let mut child = spawn(service, *owner, &service.exec)?;
        let pid = child.id();
        say(format_args!(
            "started {} pid {pid} uid {}",
            service.name, owner.user
        ));
        if let Some(ready) = &service.ready {
            // An error here powers the machine off, so services that were started before need not be stopped.
            wait_until_ready(service, &mut child, ready)?;
        }
        running.push(Running {
            name: service.name.clone(),
            pid,
        });
    }
    Ok(running)
}

fn spawn(service: &Service, owner: Owner, command: &Command) -> Result<Child, ServiceError> {
    let mut child = Process::new(&command.program)
        .args(&command.arguments)
        .env_clear()
        .current_dir("/")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        // As root, setting the user also drops every group of PID 1.
        .gid(owner.group)
        .uid(owner.user)
        .process_group(0)
        .spawn()
        .doing("start", &command.program)?;
    if let Some(stdout) = child.stdout.take() {
        output::forward(&service.name, stdout);
    }
    if let Some(stderr) = child.stderr.take() {
        output::forward(&service.name, stderr);
    }
    Ok(child)
}

fn prepare(service: &Service, owner: Owner, step: &Command) -> Result<(), ServiceError> {
    let mut child = spawn(service, owner, step)?;
    let deadline = Instant::now() + PREPARATION;
    while Instant::now() < deadline {
        match child.try_wait().doing("wait for", &step.program)? {
            Some(status) if status.success() => return Ok(()),
            Some(status) => {
                let service = service.name.clone();
                return Err(ServiceError::Preparation {
                    service,
                    ending: ending(status),
                });
            }
            None => sleep(PAUSE),
        }
    }
    Err(ServiceError::PreparationHangs {
        service: service.name.clone(),
        after: PREPARATION,
    })
}

fn wait_until_ready(
    service: &Service,
    child: &mut Child,
    ready: &Ready,
) -> Result<(), ServiceError> {
    let deadline = Instant::now() + ready.within;
    while Instant::now() < deadline {
        // The connection first: a service that became ready and then ended is found by `watch`.
        if TcpStream::connect_timeout(&ready.address, CONNECT).is_ok() {
            return Ok(());
        }
        if let Some(status) = child.try_wait().doing("wait for", &service.name)? {
            let service = service.name.clone();
            return Err(ServiceError::EndedEarly {
                service,
                ending: ending(status),
            });
        }
        sleep(PAUSE);
    }
    Err(ServiceError::NotReady {
        service: service.name.clone(),
        after: ready.within,
    })
}

fn ending(status: ExitStatus) -> Ending {
    match (status.code(), status.signal()) {
        (Some(code), _) => Ending::Status(code),
        (None, Some(signal)) => Ending::Signal(signal),
        (None, None) => Ending::Unknown,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;

    fn service(exec: &[&str], ready: Option<Ready>) -> Service {
        Service {
            name: "probe".to_owned(),
            user: "unprivileged".to_owned(),
            evidence: false,
            prepare: Vec::new(),
            exec: Command {
                program: exec[0].to_owned(),
                arguments: exec[1..].iter().map(|word| (*word).to_owned()).collect(),
            },
            ready,
        }
    }

    /// The user that runs the tests: only root may become another user.
    fn ourselves() -> Owner {
        Owner {
            user: rustix::process::getuid().as_raw(),
            group: rustix::process::getgid().as_raw(),
        }
    }

    #[test]
    fn a_listening_service_is_ready_and_an_early_end_is_an_error() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
        let address = listener.local_addr().expect("it has an address");
        let ready = Ready {
            address,
            within: Duration::from_secs(60),
        };
        let sleeps = service(&["/bin/sleep", "60"], Some(ready));
        let running = start_all(&[(sleeps, ourselves())]).expect("it is ready at once");
        let pid =
            rustix::process::Pid::from_raw(running[0].pid.cast_signed()).expect("it is a process");
        rustix::process::kill_process(pid, rustix::process::Signal::KILL).expect("it is ours");

        drop(listener);
        let ends = service(&["/bin/false"], Some(ready));
        let early = ServiceError::EndedEarly {
            service: "probe".into(),
            ending: Ending::Status(1),
        };
        assert_eq!(start_all(&[(ends, ourselves())]), Err(early));
    }

    #[test]
    fn a_preparation_that_fails_keeps_the_service_from_being_started() {
        let mut prepared = service(&["/nonexistent"], None);
        prepared.prepare = vec![
            Command {
                program: "/bin/true".into(),
                arguments: vec![],
            },
            Command {
                program: "/bin/false".into(),
                arguments: vec![],
            },
        ];
        let refused = ServiceError::Preparation {
            service: "probe".into(),
            ending: Ending::Status(1),
        };
        assert_eq!(start_all(&[(prepared, ourselves())]), Err(refused));
    }

    #[test]
    fn a_program_that_is_not_there_is_an_error() {
        let gone = service(&["/nonexistent"], None);
        assert!(matches!(
            start_all(&[(gone, ourselves())]),
            Err(ServiceError::Os(_))
        ));
    }
}
