//! While a machine runs, the computer isn't shut down without a question: an inhibitor lock of systemd-logind
//! (org.freedesktop.login1(5), "Inhibit"). It is a file that is held open; the machine's process holds it until it ends, in
//! whatever way.
//!
//! Where it comes to a shutdown all the same, the machine's process gets a SIGTERM and presses the power button. Sleep needs
//! nothing: a machine sleeps with its computer and goes on where it was.

use std::{os::fd::OwnedFd, time::Duration};

use zbus::{
    blocking::{Proxy, connection::Builder},
    zvariant,
};

/// How long logind may take to answer. Without an answer the machine starts all the same.
const PATIENCE: Duration = Duration::from_secs(2);

/// The lock for a machine of that name. `None` where there is no logind, or it doesn't let this account have one: from a
/// login over the network, for example.
pub(crate) fn shutdown(machine: &str) -> Option<OwnedFd> {
    let lock = Builder::system().and_then(|bus| lock(bus, machine));
    lock.inspect_err(|error| tracing::debug!(%error, "a shutdown can't be held up")).ok()
}

fn lock(bus: Builder<'_>, machine: &str) -> zbus::Result<OwnedFd> {
    let bus = bus.method_timeout(PATIENCE).build()?;
    let logind =
        Proxy::new(&bus, "org.freedesktop.login1", "/org/freedesktop/login1", "org.freedesktop.login1.Manager")?;
    let why = format!("The machine '{machine}' is running");
    let lock: zvariant::OwnedFd = logind.call("Inhibit", &("shutdown", "Tandem", why.as_str(), "block"))?;
    Ok(lock.into())
}

#[cfg(test)]
mod tests {
    use std::{
        io::{BufRead, BufReader, Read},
        os::{fd::AsFd, unix::net::UnixStream},
        process::{Child, Command, Stdio},
        sync::{Arc, Mutex},
    };

    use super::*;

    /// A message bus of its own; it ends with the value.
    struct Bus(Child, String);

    impl Bus {
        fn start() -> Self {
            let mut daemon = Command::new("dbus-daemon")
                .args(["--session", "--nofork", "--print-address"])
                .stdout(Stdio::piped())
                .spawn()
                .expect("dbus-daemon, which `cargo xtask packages` installs");
            let mut address = String::new();
            BufReader::new(daemon.stdout.take().unwrap()).read_line(&mut address).unwrap();
            Bus(daemon, address.trim().to_owned())
        }

        fn builder(&self) -> Builder<'_> {
            Builder::address(self.1.as_str()).unwrap()
        }
    }

    impl Drop for Bus {
        fn drop(&mut self) {
            self.0.kill().unwrap();
            self.0.wait().unwrap();
        }
    }

    /// What logind was asked for, and the other end of the lock that it gave.
    #[derive(Clone, Default)]
    struct Logind(Arc<Mutex<Vec<Asked>>>);

    type Asked = ([String; 4], UnixStream);

    #[zbus::interface(name = "org.freedesktop.login1.Manager")]
    impl Logind {
        fn inhibit(&self, what: String, who: String, why: String, mode: String) -> zvariant::OwnedFd {
            let (ours, theirs) = UnixStream::pair().unwrap();
            self.0.lock().unwrap().push(([what, who, why, mode], ours));
            OwnedFd::from(theirs).into()
        }
    }

    #[test]
    fn a_running_machine_holds_a_lock_until_it_ends() {
        let bus = Bus::start();
        let logind = Logind::default();
        let served = bus.builder().name("org.freedesktop.login1").unwrap();
        let _served = served.serve_at("/org/freedesktop/login1", logind.clone()).unwrap().build().unwrap();
        let held = lock(bus.builder(), "Mint").unwrap();
        let (words, mut other) = logind.0.lock().unwrap().pop().unwrap();
        assert_eq!(words, ["shutdown", "Tandem", "The machine 'Mint' is running", "block"]);
        // As another process holds it.
        let kept = held.as_fd().try_clone_to_owned().unwrap();
        drop(held);
        other.set_nonblocking(true).unwrap();
        assert!(other.read(&mut [0]).is_err(), "it is held");
        drop(kept);
        // The message bus lets go of what it passed on in its own time.
        other.set_nonblocking(false).unwrap();
        other.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        assert_eq!(other.read(&mut [0]).unwrap(), 0, "it is free");
    }

    #[test]
    fn without_logind_there_is_none() {
        let bus = Bus::start();
        assert!(lock(bus.builder(), "Mint").is_err());
    }
}
