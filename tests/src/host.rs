//! Hosts that lack something: no KVM, no right to use it, no room on the disk, nothing that can be written.
//!
//! Each needs something of the host that tests run on: where it can't be had, the value is not there, and the test says so
//! by [`skip`].

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use crate::tandem::Tandem;

/// How a helper of this module says that it can't be done here.
const CANT: i32 = 99;

/// Says that a test can't run here, and why.
pub fn skip(why: &str) {
    eprintln!("SKIPPED: {why}");
}

/// Whether this process may do everything.
#[must_use]
pub fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// How busy the host's processors are, from now on.
pub struct Load {
    began: (u64, u64),
}

impl Load {
    /// Begins to watch.
    ///
    /// # Errors
    /// The host doesn't tell.
    pub fn watch() -> Result<Self> {
        Ok(Self { began: processor_times(&fs::read_to_string("/proc/stat")?)? })
    }

    /// The share of the time since it began that no processor was used for, in hundredths.
    ///
    /// # Errors
    /// The host doesn't tell.
    pub fn idle_percent(&self) -> Result<u64> {
        let (idle, all) = processor_times(&fs::read_to_string("/proc/stat")?)?;
        Ok((idle - self.began.0) * 100 / (all - self.began.1).max(1))
    }
}

/// What a process has used.
#[derive(Debug, Clone, Copy)]
pub struct Usage {
    /// The time of processors, since it began.
    pub processors: Duration,
    /// Its memory, what it shares with others included, in bytes.
    pub resident: u64,
}

impl Usage {
    /// What a process has used up to now.
    ///
    /// # Errors
    /// It is gone.
    pub fn of(process: u32) -> Result<Self> {
        let stat = fs::read_to_string(format!("/proc/{process}/stat")).context("the process is gone")?;
        // proc_pid_stat(5): its name, the second field, may hold anything.
        let (_, rest) = stat.rsplit_once(')').context("a process without a name")?;
        let fields: Vec<&str> = rest.split_whitespace().collect();
        let number =
            |field: usize| fields.get(field - 3).context("a field is missing")?.parse::<u64>().context("a number");
        let ticks = number(14)? + number(15)?;
        Ok(Self {
            processors: Duration::from_millis(ticks * 1000 / rustix::param::clock_ticks_per_second()),
            resident: number(24)? * rustix::param::page_size() as u64,
        })
    }
}

/// What processors were idle for, and all that they were there for, out of `/proc/stat` (proc_stat(5)).
fn processor_times(stat: &str) -> Result<(u64, u64)> {
    let line =
        stat.lines().next().and_then(|line| line.strip_prefix("cpu ")).context("/proc/stat has no processors")?;
    // The time of guests is part of that of users.
    let times: Vec<u64> = line.split_whitespace().take(8).map(str::parse).collect::<Result<_, _>>()?;
    let idle = times.get(3..5).context("/proc/stat lacks times")?;
    Ok((idle.iter().sum(), times.iter().sum()))
}

/// What a host's `/dev/kvm` is made to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kvm {
    /// Not there.
    Missing,
    /// Something else.
    NotKvm,
    /// Another account's.
    Forbidden,
}

impl Kvm {
    /// The host as a shell makes it in a mount namespace, in which `$0` is a folder to use and `$@` what to run.
    fn script(self) -> &'static str {
        match self {
            Self::Missing => {
                "mount -t tmpfs none \"$0\" && for n in null zero full random urandom tty; do : >\"$0/$n\" && \
                 mount --bind /dev/$n \"$0/$n\" || exit 99; done; mount --rbind \"$0\" /dev || exit 99; exec \"$@\""
            }
            Self::NotKvm => "mount --bind /dev/null /dev/kvm || exit 99; exec \"$@\"",
            // Nobody but root may read it, and where root is another account (`unshare -r`), this account neither.
            Self::Forbidden => "mount --bind /etc/shadow /dev/kvm || exit 99; exec \"$@\"",
        }
    }

    /// Runs a command line of the program on such a host; nothing if this host can't be made so.
    ///
    /// # Errors
    /// `unshare` could not be run.
    pub fn run(self, tandem: &Tandem, args: &[&str]) -> Result<Option<crate::Said>> {
        if self == Self::Forbidden && is_root() {
            return Ok(None);
        }
        let folder = tandem.scratch("dev");
        fs::create_dir_all(&folder)?;
        let inner = tandem.command(args);
        let mut command = Command::new("unshare");
        command.arg(if is_root() { "-m" } else { "-rm" }).args(["sh", "-c", self.script()]).arg(folder);
        command.arg(inner.get_program()).args(inner.get_args()).stdin(Stdio::null());
        command.envs(inner.get_envs().filter_map(|(name, value)| Some((name, value?))));
        let said = crate::Said::by(&mut command)?;
        let refused = said.status.code() == Some(CANT) || said.err.contains("unshare: ");
        Ok((!refused).then_some(said))
    }
}

/// An account without rights (`nobody`), with a library of its own. Only root can act for it.
pub struct Nobody {
    folder: tempfile::TempDir,
}

impl Nobody {
    const ID: u32 = 65534;

    /// The account; nothing if this process can't act for it.
    ///
    /// # Errors
    /// There is no room for its folder.
    pub fn new() -> Result<Option<Self>> {
        if !is_root() {
            return Ok(None);
        }
        let folder = tempfile::Builder::new().prefix("tandem-nobody").tempdir()?;
        std::os::unix::fs::chown(folder.path(), Some(Self::ID), Some(Self::ID))?;
        Ok(Some(Nobody { folder }))
    }

    /// A path for a file of its own.
    #[must_use]
    pub fn scratch(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// A command that it runs, not started yet.
    pub fn command(&self, program: impl AsRef<std::ffi::OsStr>, args: &[&str]) -> Command {
        let mut command = Command::new("setpriv");
        command.args(["--reuid=65534", "--regid=65534", "--clear-groups"]).arg(program).args(args);
        command.stdin(Stdio::null()).current_dir("/");
        for (name, sub) in [("TANDEM_HOME", "home"), ("HOME", "home"), ("XDG_RUNTIME_DIR", "run")] {
            command.env(name, self.folder.path().join(sub));
        }
        command
    }

    /// Whether it may do what `test` of the shell asks of a file: `-w`, `-x`.
    ///
    /// # Errors
    /// `setpriv` could not be run.
    pub fn may(&self, test: &str, path: &Path) -> Result<bool> {
        let path = path.to_str().context("the path is text")?;
        Ok(self.command("test", &[test, path]).status()?.success())
    }
}

/// A file system mounted for a test. It is unmounted when dropped.
pub struct Mounted {
    path: PathBuf,
}

impl Mounted {
    /// A small file system in memory; nothing if this process may not mount one.
    ///
    /// # Errors
    /// `mount` could not be run.
    pub fn small(path: &Path, size: &str) -> Result<Option<Self>> {
        fs::create_dir_all(path)?;
        Self::mount(path, &[&["-t", "tmpfs", "-o", &format!("size={size}"), "none"]])
    }

    /// Gives a small file system another size.
    ///
    /// # Errors
    /// `mount` could not be run, or refuses.
    pub fn resize(&self, size: &str) -> Result<()> {
        let status = Command::new("mount").args(["-o", &format!("remount,size={size}")]).arg(&self.path).status()?;
        ensure!(status.success(), "{} keeps its size", self.path.display());
        Ok(())
    }

    /// What a folder holds, read-only, elsewhere; nothing if this process may not mount it.
    ///
    /// # Errors
    /// `mount` could not be run.
    pub fn read_only(folder: &Path, path: &Path) -> Result<Option<Self>> {
        fs::create_dir_all(path)?;
        let folder = folder.to_str().context("the path is text")?;
        Self::mount(path, &[&["--bind", folder], &["-o", "remount,ro,bind"]])
    }

    fn mount(path: &Path, steps: &[&[&str]]) -> Result<Option<Self>> {
        let mut mounted = None;
        for step in steps {
            if !Command::new("mount").args(*step).arg(path).stderr(Stdio::null()).status()?.success() {
                return Ok(None);
            }
            mounted.get_or_insert_with(|| Mounted { path: path.to_owned() });
        }
        Ok(mounted)
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        let unmounted = Command::new("umount").arg("--lazy").arg(&self.path).status();
        if !unmounted.is_ok_and(|status| status.success()) {
            eprintln!("{} stays mounted", self.path.display());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waiting_for_a_disk_is_idle_and_guests_count_once() {
        let stat = "cpu  100 10 20 300 5 1 2 3 40 4\ncpu0 1 1 1 1 1 1 1 1 1 1\n";
        assert_eq!(processor_times(stat).unwrap(), (305, 441));
        assert!(processor_times("intr 1\n").is_err());
        assert!(processor_times("cpu 1\n").is_err());
    }

    #[test]
    fn a_process_has_used_memory_and_time() {
        let before = Usage::of(std::process::id()).unwrap();
        assert!(before.resident > 1 << 20, "{before:?}");
        let end = std::time::Instant::now() + Duration::from_millis(100);
        while std::time::Instant::now() < end {}
        assert!(Usage::of(std::process::id()).unwrap().processors > before.processors);
        assert!(Usage::of(u32::MAX).is_err());
    }
}
