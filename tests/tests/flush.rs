//! Flush means flush: fio writes in a Debian guest, and the machine's process is killed at any moment. What the guest
//! was told to be durable is in the image, and nothing is wrong with the image. Twenty kills in all.

use std::fs::{self, File};
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use rustix::process::{Pid, Signal, kill_process};
use whole_machine::steps::{DISK, Model, Step};
use whole_machine::{Console, Guest, Machine, Patience, Tandem, wait_closely, wait_until};

/// Kills of a system that does nothing but write.
const KILLS: u64 = 18;
/// Kills of a whole system with a file system.
const KILLS_OF_A_SYSTEM: u64 = 2;
/// Steps that a run of the guest is given: more than it comes to do.
const STEPS: u64 = 45;

/// Bytes of the disk with the guest's script.
const SCRIPT: usize = 64 << 10;

/// What fio's jobs have in common.
const JOBS: &str = "[global]\nfilename=/tmp/disk\nallow_file_create=0\nioengine=libaio\niodepth=8\ndirect=1\nthread\nexitall_on_error\n";

/// A small generator of numbers, the same in every run (xorshift).
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % limit
    }
}

/// The first program of the guest, a script on a disk of its own: fio verifies some steps, and, once somebody has typed
/// a line, does others. Each is told when it and its flush are done.
fn script(verify: &[Step], write: Range<u64>) -> String {
    let verify: String = verify.iter().map(|step| step.verify_job()).collect();
    let jobs: String = write.map(|number| Step(number).write_job("/tmp/disk", "/tmp/say")).collect();
    let script = format!(
        r#"
mount -t tmpfs tmp /tmp
cd /tmp
ln -s /dev/disk/by-path/pci-0000:00:1f.2-ata-2 disk
printf '#!/bin/sh\necho ACK $1 >/dev/ttyS0\n' >say
chmod +x say
cat >verify <<'END'
{JOBS}{verify}END
cat >write <<'END'
{JOBS}{jobs}END
exec >/dev/ttyS0 2>&1
failed() {{ cat said; echo FAILED; sleep 600; }}
job() {{ fio --eta=never --output=said "$@" || failed; }}
! grep -q step verify || job --verify_only=1 verify
echo VERIFIED
read -r line </dev/tty1
if [ "$line" = write ]; then
  job write
  echo there was too little to do >said
  failed
fi
echo o >/proc/sysrq-trigger
sleep 600
"#
    );
    padded(script)
}

/// A script as the content of a disk, which has whole sectors and keeps its length.
fn padded(mut script: String) -> String {
    script.extend(std::iter::repeat_n('\n', SCRIPT.saturating_sub(script.len())));
    script
}

/// The steps whose flush the guest has said to be done.
fn acknowledged(serial: &str) -> Vec<u64> {
    // The last line may be cut off
    let lines = serial.split_inclusive('\n').filter(|line| line.ends_with('\n'));
    lines.filter_map(|line| line.trim().strip_prefix("ACK ")?.parse().ok()).collect()
}

/// Waits until the guest has said something, and fails as soon as it says that it has failed.
fn wait_for_word(machine: &Machine<'_>, what: &str, limit: Duration, said: &dyn Fn(&str) -> bool) -> Result<()> {
    wait_closely(what, limit, || {
        let serial = machine.serial()?;
        ensure!(!serial.contains("FAILED") && !serial.contains("Kernel panic"), "the guest says\n{serial}");
        Ok(said(&serial).then_some(()))
    })
}

/// The image that the library made for a machine.
fn image(machine: &Machine<'_>) -> Result<PathBuf> {
    let disks = machine.folder()?.join("disks");
    let found: Vec<_> = fs::read_dir(&disks)?.collect::<Result<_, _>>()?;
    ensure!(found.len() == 1, "{} images in {}", found.len(), disks.display());
    Ok(found[0].path())
}

/// Has QEMU check an image. `false` if it found clusters that leaked, and nothing worse.
fn check(image: &Path) -> Result<bool> {
    wait_until("the image to be let go", Patience::REACTION, || {
        let output = Command::new("qemu-img").args(["check", "-f", "qcow2"]).arg(image).output()?;
        let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
        match output.status.code() {
            Some(0) => Ok(Some(true)),
            Some(3) => Ok(Some(false)),
            // A process that was killed ends bit by bit
            _ if said.contains("Failed to lock") => Ok(None),
            _ => bail!("`qemu-img check {}`: {said}", image.display()),
        }
    })
}

/// What a disk contains, as QEMU reads it.
fn content(image: &Path, raw: &Path) -> Result<File> {
    let mut convert = Command::new("qemu-img");
    let output = convert.args(["convert", "-f", "qcow2", "-O", "raw"]).args([image, raw]).output()?;
    ensure!(output.status.success(), "qemu-img convert: {}", String::from_utf8_lossy(&output.stderr));
    File::open(raw).context("qemu-img converted nothing")
}

/// Ends a machine's process at once.
fn kill(machine: &Machine<'_>, process: Pid) -> Result<()> {
    kill_process(process, Signal::KILL)?;
    machine.wait_for_state("crashed", Duration::from_secs(60))
}

#[test]
fn long_what_a_guest_has_flushed_survives_the_end_of_the_machines_process() -> Result<()> {
    let tandem = Tandem::new()?;
    let program = tandem.scratch("program");
    fs::write(&program, script(&[], 0..0))?;
    let debian = format!("{},snapshot", Guest::DebianDisk.path()?);
    let line = "root=/dev/disk/by-path/pci-0000:00:1f.2-ata-1-part1 ro quiet console=ttyS0 init=/bin/sh -- \
                /dev/disk/by-path/pci-0000:00:1f.2-ata-3";
    let machine = tandem.create(
        "writer",
        &[
            &["--kernel", &Guest::DebianKernel.path()?, "--initrd", &Guest::DebianInitrd.path()?, "--cmdline", line],
            &["--disk", &debian, "--disk", &format!("{}M", DISK >> 20), "--disk", &program.display().to_string()][..],
            &["--memory", "256M", "--cpus", "1"],
        ]
        .concat(),
    )?;
    let image = image(&machine)?;
    let (copy, raw) = (tandem.scratch("copy"), tandem.scratch("raw"));
    let mut numbers = Numbers(0x0f10_0f10_0f10_0f1b);
    let mut model = Model::default();
    let (mut next, mut flushes, mut leaks) = (1, 0, 0);
    for round in 1..=KILLS {
        let steps = next..next + STEPS;
        fs::write(&program, script(&model.intact(12, next), steps.clone()))?;
        machine.start()?;
        let process = machine.pid()?;
        wait_for_word(&machine, "fio to verify", Patience::SYSTEM, &|said| said.contains("VERIFIED"))?;
        // The machine has it locked, and writes nothing now
        fs::copy(&image, &copy)?;
        ensure!(check(&copy)?, "round {round}: what leaked in the last one was not freed");
        machine.type_text("write\n")?;
        // Each third time, just after clusters were freed
        let (soon, late) = (3 + numbers.below(12), numbers.below(400));
        let until_trim = (soon..).find(|count| Step(next + count - 1).is_trim()).unwrap_or(soon);
        let (wanted, late) = if round % 3 == 0 { (until_trim, 0) } else { (soon, late) };
        let is_enough = |said: &str| acknowledged(said).len() as u64 >= wanted;
        wait_for_word(&machine, "flushes", Patience::SYSTEM, &is_enough)?;
        // Any moment of what follows
        thread::sleep(Duration::from_millis(late));
        kill(&machine, process)?;

        let is_clean = check(&image).with_context(|| format!("round {round}"))?;
        let done = acknowledged(&machine.serial()?);
        done.iter().for_each(|step| model.acknowledge(Step(*step)));
        let last = done.last().copied().unwrap_or(0);
        ensure!(done.len() as u64 >= wanted && steps.contains(&last), "round {round}: {done:?}");
        let disk = content(&image, &raw)?;
        let compared = model.check(last + 1..steps.end, |bytes, offset| disk.read_exact_at(bytes, offset));
        compared.with_context(|| format!("round {round}, after flush {last}"))?;
        eprintln!("round {round}: {} flushes, the last {last}; nothing leaked: {is_clean}", done.len());
        leaks += u64::from(!is_clean);
        flushes += done.len();
        next = steps.end;
    }
    eprintln!("{KILLS} kills after {flushes} acknowledged flushes; clusters leaked in {leaks} of them");

    fs::write(&program, script(&model.intact(40, next), 0..0))?;
    machine.start()?;
    wait_for_word(&machine, "fio to verify", Patience::SYSTEM, &|said| said.contains("VERIFIED"))?;
    machine.type_text("off\n")?;
    machine.wait_for_state("off", Patience::REACTION)?;
    ensure!(check(&image)?, "clusters leaked though the machine was switched off");
    Ok(())
}

/// What the whole system is asked to do, as a script with a command and its arguments: `make` a file system on its
/// second disk; `write` files from a number on, each followed by a flush that is told; `verify` the files with these
/// numbers, and the file system.
const FILES: &str = r#"
disk=/dev/disk/by-path/pci-0000:00:1f.2-ata-2
job() {
  n=$1
  shift
  fio --eta=never --name=file$n --directory=/mnt --size=1m --rw=randwrite --bs=4k --ioengine=libaio --iodepth=8 \
    --verify=crc32c --randseed=$n --output=/run/said "$@" || { cat /run/said; return 1; }
}
command=$1
shift
case $command in
make) mkfs.ext4 -q $disk && mount $disk /mnt ;;
write)
  n=$1
  while job $n --do_verify=0 --fsync=5 --end_fsync=1; do
    echo ACK $n
    n=$((n + 1))
  done
  echo FAILED
  ;;
verify)
  mount $disk /mnt || exit
  for n; do job $n --verify_only=1 || exit; done
  umount /mnt && e2fsck -fn $disk && mount $disk /mnt
  ;;
esac
exit
"#;

#[test]
fn long_files_that_a_debian_system_has_synced_survive_the_end_of_the_machines_process() -> Result<()> {
    let tandem = Tandem::new()?;
    let (system, program) = (tandem.scratch("system.qcow2"), tandem.scratch("program"));
    fs::copy(Guest::DebianDisk.file()?, &system)?;
    fs::write(&program, padded(FILES.to_owned()))?;
    let [of_system, of_program] = [&system, &program].map(|path| path.display().to_string());
    let disks = ["--disk", &of_system, "--disk", "2G", "--disk", &of_program, "--memory", "512M", "--cpus", "2"];
    let machine = tandem.create("system", &disks)?;
    let images = [system, image(&machine)?];
    let ask = |what: &str| machine.shell(&format!("sh /dev/disk/by-path/*-ata-3 {what}"), Patience::SYSTEM);
    let mut numbers = Numbers(0x5eed_5eed_5eed_5eed);
    let mut synced: Vec<u64> = Vec::new();
    machine.start()?;
    machine.log_in()?;
    ask("make")?;
    for round in 1..=KILLS_OF_A_SYSTEM {
        let process = machine.pid()?;
        let first = round * 1000;
        machine.type_text(&format!("sh /dev/disk/by-path/*-ata-3 write {first} >/dev/ttyS0 2>&1\n"))?;
        let wanted = 2 + numbers.below(4) as usize;
        wait_for_word(&machine, "flushes", Patience::SYSTEM, &|said| acknowledged(said).len() >= wanted)?;
        // Any moment of what follows
        thread::sleep(Duration::from_millis(numbers.below(2000)));
        kill(&machine, process)?;

        for image in &images {
            check(image).with_context(|| format!("round {round}"))?;
        }
        synced.extend(acknowledged(&machine.serial()?));
        machine.start()?;
        machine.log_in()?;
        let files: Vec<String> = synced.iter().map(u64::to_string).collect();
        ask(&format!("verify {}", files.join(" "))).with_context(|| format!("round {round}, {synced:?}"))?;
        eprintln!("round {round}: files {synced:?} are there");
    }
    machine.ok("stop", &["--wait", "240"])?;
    for image in &images {
        ensure!(check(image)?, "{}: clusters leaked though the machine was switched off", image.display());
    }
    Ok(())
}
