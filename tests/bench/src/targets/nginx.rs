//! nginx as people put it in front of an engine: TLS 1.3 in, plain HTTP out, keep-alive on both sides, no buffering.

use std::fs;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use super::{Folder, MODEL, NGINX, Target, chat_url, programs, write_certificate};
use crate::process::{Core, Process, find, free_address};

/// Nothing when nginx is not installed.
pub fn start(folder: &Folder, engine: SocketAddr) -> Result<Option<Target>> {
    let Some(program) = program().or_else(|| find("nginx")) else {
        return Ok(None);
    };
    let folder = folder.path();
    let address = free_address()?;
    write_certificate(folder, "nginx")?;
    fs::write(folder.join("nginx.conf"), configuration(address, engine))?;
    let prefix = folder
        .to_str()
        .context("the build's path is UTF-8")?
        .to_owned();
    let arguments = [
        "-p".to_owned(),
        prefix,
        "-c".to_owned(),
        "nginx.conf".to_owned(),
    ];
    let mut process = Process::start(Core::Target, &program, &arguments, folder.join("nginx.log"))?;
    process.wait_for(address).context("nginx")?;
    let worker = worker_of(process.id()).context("nginx has no worker")?;
    let mut target = Target::new(NGINX, chat_url(address), MODEL).run_by(process);
    target.pid = Some(worker);
    Ok(Some(target))
}

/// Where its program is, if it is not on the path: as the environment says, or where `tests/bench/nginx.sh` unpacked it.
fn program() -> Option<PathBuf> {
    let unpacked = || Some(programs().ok()?.parent()?.join("nginx/usr/sbin/nginx"));
    let named = std::env::var_os("BENCH_NGINX").map(PathBuf::from);
    named.or_else(unpacked).filter(|path| path.is_file())
}

fn configuration(address: SocketAddr, engine: SocketAddr) -> String {
    format!(
        "daemon off;
worker_processes 1;
pid nginx.pid;
error_log stderr warn;
events {{ worker_connections 4096; }}
http {{
  access_log off;
  client_body_temp_path body;
  proxy_temp_path proxy;
  fastcgi_temp_path fastcgi;
  uwsgi_temp_path uwsgi;
  scgi_temp_path scgi;
  upstream engine {{ server {engine}; keepalive 256; keepalive_requests 100000000; }}
  keepalive_requests 100000000;
  client_body_buffer_size 512k;
  proxy_http_version 1.1;
  proxy_set_header Connection \"\";
  proxy_buffering off;
  tcp_nodelay on;
  server {{
    listen {address} ssl;
    ssl_certificate nginx.pem;
    ssl_certificate_key nginx.key;
    ssl_protocols TLSv1.3;
    ssl_session_tickets off;
    location / {{ proxy_pass http://engine; }}
  }}
}}
"
    )
}

/// The master only supervises; its one child does the work.
fn worker_of(master: u32) -> Option<u32> {
    let give_up = Instant::now() + Duration::from_secs(5);
    while Instant::now() < give_up {
        let children = fs::read_to_string(format!("/proc/{master}/task/{master}/children"))
            .unwrap_or_default();
        if let Some(worker) = children.split_whitespace().next() {
            return worker.parse().ok();
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    None
}
