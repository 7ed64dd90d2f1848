//! The guest lab: a machine with real hardware KVM, wherever you are.
//!
//! QEMU's software processor has AMD's SVM and nested paging, so Debian's stock `kvm_amd` loads on it and `/dev/kvm` is
//! the real thing: every guest feature of KVM works, only slowly. The command sees this machine's files at the same
//! paths, read-only below a scratch layer: what it writes is gone afterwards, except under the folder that was asked
//! for, which is this machine's own.

mod initrd;
mod kernel;

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::fs::{self, File};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{ExitCode, ExitStatus, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::args::Args;
use crate::places::Scratch;
use crate::process::{self, Ended};
use crate::{packages, places};

use kernel::Kernel;
pub(crate) use kernel::SERIES;

/// The ordinary user that a command may run as: fresh, and in no group but its own and `kvm`.
const USER: (&str, u32) = ("tester", 60_606);

/// Variables that the command gets from this process, by the beginning of their names.
const PASSED_ON: [&str; 2] = ["TANDEM_", "RUST_"];

/// How many lines of what a lab's kernel said are shown when it has died.
const LAST_LINES: usize = 40;

/// A machine to run a command on.
pub(crate) struct Lab {
    /// The kernel's series, one of [`SERIES`].
    pub(crate) kernel: String,
    /// Virtual processors.
    pub(crate) cpus: u32,
    /// Memory, in MiB; three quarters of it hold what the command writes.
    pub(crate) memory_mib: u32,
    /// Everything ends after this long.
    pub(crate) limit: Duration,
    /// A folder of this machine that the command can write to.
    pub(crate) out: Option<PathBuf>,
    /// More of the command's surroundings.
    pub(crate) variables: Vec<(String, PathBuf)>,
    /// Run as an ordinary user who is in no group but `kvm`.
    pub(crate) as_user: bool,
    /// Show what the kernel says.
    pub(crate) verbose: bool,
    /// Where what the command writes goes; this process's standard output if nothing is said.
    pub(crate) log: Option<PathBuf>,
}

impl Default for Lab {
    fn default() -> Self {
        Self {
            kernel: SERIES[0].to_owned(),
            cpus: 2,
            memory_mib: 6144,
            limit: Duration::from_secs(600),
            out: None,
            variables: Vec::new(),
            as_user: false,
            verbose: false,
            log: None,
        }
    }
}

/// How a command in the lab ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// The command's own exit status.
    Exited(u8),
    /// The limit passed.
    TimedOut,
    /// Whoever watched gave it up.
    GivenUp,
    /// The lab itself ended before the command did.
    Died(Death),
}

/// What is known of a lab that ended before its command did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Death {
    /// All that its kernel said is there.
    log: PathBuf,
    /// How QEMU ended.
    qemu: ExitStatus,
    /// Whether the software processor lost its kernel from under its feet, of which the kernel says nothing.
    triple_fault: bool,
    /// The last that its kernel said.
    last_words: String,
}

impl fmt::Display for Death {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let fault = if self.triple_fault { " after a triple fault" } else { "" };
        write!(f, "the lab ended before the command did: QEMU{fault}, {}", self.qemu)?;
        writeln!(f, "; what its kernel said is in {}, at last:", self.log.display())?;
        write!(f, "{}", self.last_words)
    }
}

/// `cargo xtask lab`.
pub(crate) fn command(mut args: Args) -> Result<ExitCode> {
    let mut lab = Lab::default();
    if let Some(kernel) = args.option("--kernel")? {
        lab.kernel = kernel;
    }
    if let Some(cpus) = args.option("--cpus")? {
        lab.cpus = cpus;
    }
    if let Some(memory) = args.option("--memory")? {
        lab.memory_mib = memory;
    }
    if let Some(seconds) = args.option("--timeout")? {
        lab.limit = Duration::from_secs(seconds);
    }
    lab.out = args.option("--out")?;
    lab.as_user = args.flag("--as-user");
    lab.verbose = args.flag("-v");
    let command = args.command().filter(|words| !words.is_empty()).context("lab needs a command after --")?;
    args.finish()?;
    packages::ensure_for_lab()?;
    match lab.run(&command, || false)? {
        Outcome::Exited(code) => Ok(ExitCode::from(code)),
        Outcome::TimedOut | Outcome::GivenUp => {
            eprintln!("xtask: the command did not end within {} s", lab.limit.as_secs());
            Ok(ExitCode::from(124))
        }
        Outcome::Died(death) => bail!("{death}"),
    }
}

impl Lab {
    /// Whether a lab can be made here at all.
    pub(crate) fn check() -> Result<()> {
        process::find("qemu-system-x86_64").context("qemu-system-x86_64 is missing")?;
        initrd::for_kernel(&Kernel::of_series(SERIES[0])?)?;
        Ok(())
    }

    /// Starts the machine, runs the command in this process's folder, and ends the machine. Meanwhile `give_up` is asked
    /// again and again, and ends it early.
    pub(crate) fn run<S: AsRef<OsStr>>(&self, command: &[S], mut give_up: impl FnMut() -> bool) -> Result<Outcome> {
        let kernel = Kernel::of_series(&self.kernel)?;
        let initrd = initrd::for_kernel(&kernel)?;
        let control = Scratch::new("lab")?;
        let out = self.out.as_deref().map(created).transpose()?;
        let here = std::env::current_dir().context("this folder is gone")?;
        fs::write(control.path().join("config"), self.config(&kernel, out.as_deref(), &here, command)?)?;
        fs::write(control.path().join("command"), self.script(&here, command))?;
        // The ordinary user reads the command there.
        fs::set_permissions(control.path(), fs::Permissions::from_mode(0o755))?;

        let status = control.path().join("status");
        let kernel_log = control.path().join("kernel.log");
        let mut qemu = process::tied("qemu-system-x86_64");
        qemu.args(self.machine(&kernel, &initrd, control.path(), out.as_deref()));
        qemu.stdin(Stdio::null());
        if let Some(log) = &self.log {
            qemu.stdout(File::create(log).with_context(|| format!("can't write {}", log.display()))?);
        }
        let mut child = qemu.spawn().context("can't run qemu-system-x86_64: install Debian's qemu-system-x86")?;
        let ended = process::wait(&mut child, self.limit, || status.exists() || give_up())?;
        let said = String::from_utf8_lossy(&fs::read(&kernel_log).unwrap_or_default()).into_owned();
        if self.verbose {
            eprint!("{said}");
        }
        if let Ok(code) = fs::read_to_string(&status) {
            let code: u8 = code.trim().parse().with_context(|| format!("the lab's exit status was {code:?}"))?;
            return Ok(Outcome::Exited(code));
        }
        match ended {
            Ended::TimedOut => Ok(Outcome::TimedOut),
            Ended::Stopped => Ok(Outcome::GivenUp),
            Ended::Exited(qemu) => {
                let kept = out.unwrap_or(std::env::temp_dir()).join("lab-kernel.log");
                fs::write(&kept, &said).with_context(|| format!("can't write {}", kept.display()))?;
                let resets = fs::read_to_string(control.path().join("resets.log")).unwrap_or_default();
                let triple_fault = resets.contains("Triple fault");
                let lines: Vec<&str> = said.lines().collect();
                let last_words = lines[lines.len().saturating_sub(LAST_LINES)..].join("\n");
                Ok(Outcome::Died(Death { log: kept, qemu, triple_fault, last_words }))
            }
        }
    }

    /// What QEMU is asked for.
    fn machine(&self, kernel: &Kernel, initrd: &Path, control: &Path, out: Option<&Path>) -> Vec<OsString> {
        let quiet = if self.verbose { "" } else { "quiet " };
        let append = format!(
            "console=ttyS0 {quiet}panic=-1 mitigations=off tsc=reliable no_timer_check cryptomgr.notests lsm= \
             random.trust_cpu=on"
        );
        let mut args: Vec<OsString> = Vec::new();
        let mut add = |words: &[&OsStr]| args.extend(words.iter().map(|word| (*word).to_owned()));
        // A comma ends a value in QEMU's options, two are one.
        let share = |path: &Path, tag: &str, more: &str| {
            let path = path.to_string_lossy().replace(',', ",,");
            format!("local,path={path},mount_tag={tag},security_model=none,id={tag}{more}")
        };
        // LLVM, which draws windows by software, believes no processor of family 6 from AMD to have 64 bits, and QEMU's
        // `max` says that it is one. This is the Zen 2.
        let words = [
            "-nodefaults -no-user-config -display none -no-reboot",
            "-machine pc -accel tcg,thread=multi -cpu max,+svm,family=23,model=49",
            "-device virtio-serial -chardev stdio,id=console -device virtconsole,chardev=console",
        ];
        for word in words.iter().flat_map(|line| line.split(' ')) {
            add(&[word.as_ref()]);
        }
        add(&["-smp".as_ref(), self.cpus.to_string().as_ref(), "-m".as_ref(), self.memory_mib.to_string().as_ref()]);
        add(&["-kernel".as_ref(), kernel.image.as_ref(), "-initrd".as_ref(), initrd.as_ref()]);
        add(&["-append".as_ref(), append.as_ref()]);
        let mut serial = OsString::from("file:");
        serial.push(control.join("kernel.log"));
        add(&["-serial".as_ref(), serial.as_ref()]);
        let resets = control.join("resets.log");
        add(&["-d".as_ref(), "cpu_reset".as_ref(), "-D".as_ref(), resets.as_ref()]);
        add(&["-virtfs".as_ref(), share(Path::new("/"), "host", ",readonly=on,multidevs=remap").as_ref()]);
        add(&["-virtfs".as_ref(), share(control, "lab", "").as_ref()]);
        if let Some(out) = out {
            add(&["-virtfs".as_ref(), share(out, "out", "").as_ref()]);
        }
        args
    }

    /// What the lab's first program is told, as a shell reads it.
    fn config<S: AsRef<OsStr>>(
        &self,
        kernel: &Kernel,
        out: Option<&Path>,
        here: &Path,
        command: &[S],
    ) -> Result<String> {
        let installed = Path::new("/lib/modules").join(&kernel.release);
        let modules = if kernel.modules == installed { Path::new("") } else { &kernel.modules };
        // An ordinary user can't enter another's home; the layer above this machine's files can let them.
        let mut reach = vec![here.to_owned(), places::workspace(), places::cache()?];
        reach.extend(command.first().map(|program| PathBuf::from(program.as_ref())).filter(|path| path.is_absolute()));
        reach.extend(std::env::var_os("CARGO_TARGET_DIR").map(PathBuf::from).filter(|path| path.is_absolute()));
        let reach: Vec<String> = reach.iter().map(|path| path.to_string_lossy().into_owned()).collect();
        let (user, uid) = if self.as_user { USER } else { ("", 0) };
        let pairs = [
            ("out", out.unwrap_or(Path::new("")).to_string_lossy().into_owned()),
            ("user", user.to_owned()),
            ("uid", uid.to_string()),
            ("release", kernel.release.clone()),
            ("modules", modules.to_string_lossy().into_owned()),
            ("reach", reach.join("\n")),
        ];
        Ok(pairs.iter().map(|(name, value)| format!("{name}={}\n", quoted(value))).collect())
    }

    /// The command with its folder and surroundings, as a shell reads it.
    fn script<S: AsRef<OsStr>>(&self, here: &Path, command: &[S]) -> String {
        let path = std::env::var("PATH").unwrap_or_default();
        // Root's home in the lab is this user's: another one's could not be read through QEMU.
        let home = std::env::var("HOME").unwrap_or_else(|_| "/root".to_owned());
        let home = if self.as_user { format!("/home/{}", USER.0) } else { home };
        let mut script = String::new();
        let mut export = |name: &str, value: &str| script.push_str(&format!("export {name}={}\n", quoted(value)));
        export("PATH", &format!("{path}:/usr/sbin:/sbin"));
        export("HOME", &home);
        export("LAB", &self.kernel);
        export("TERM", "dumb");
        if self.as_user {
            export("USER", USER.0);
            export("LOGNAME", USER.0);
            export("XDG_RUNTIME_DIR", &format!("/run/user/{}", USER.1));
        }
        for (name, value) in std::env::vars() {
            if PASSED_ON.iter().any(|prefix| name.starts_with(prefix)) {
                export(&name, &value);
            }
        }
        for (name, value) in &self.variables {
            export(name, &value.to_string_lossy());
        }
        let words: Vec<String> = command.iter().map(|word| quoted(&word.as_ref().to_string_lossy())).collect();
        script.push_str(&format!("cd {} || exit 125\nexec {}\n", quoted(&here.to_string_lossy()), words.join(" ")));
        script
    }
}

fn created(dir: &Path) -> Result<PathBuf> {
    fs::create_dir_all(dir).with_context(|| format!("can't create {}", dir.display()))?;
    dir.canonicalize().with_context(|| format!("can't find {}", dir.display()))
}

/// A word that a shell reads as it is.
fn quoted(word: &str) -> String {
    format!("'{}'", word.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shell_reads_a_quoted_word_as_it_was() {
        let word = "it's $HOME \"here\"\n*";
        let said =
            std::process::Command::new("sh").arg("-c").arg(format!("printf %s {}", quoted(word))).output().unwrap();
        assert_eq!(String::from_utf8_lossy(&said.stdout), word);
    }
}
