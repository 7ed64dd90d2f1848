//! For tests: the same accesses to our adapter and to QEMU's, by its qtest protocol (the guest's processor halts), and then the same
//! picture, pixel for pixel.

use std::{
    io::{BufRead, BufReader, Write},
    os::unix::net::{UnixListener, UnixStream},
    path::PathBuf,
    process::{Child, Command, Stdio},
    sync::{Arc, mpsc},
    time::{Duration, Instant},
};

use machine::{
    access,
    console::{Frame, Screen},
    contract::Accesses,
    device::{Mmio, PortIo},
    time::Clock,
};
use parking_lot::Mutex;

use super::{programs::Ports, *};

const LIMIT: Duration = Duration::from_secs(60);
/// Where the linear frame buffer is, for QEMU.
const FRAME_BUFFER: u64 = 0xe000_0000;

/// An adapter's ports and memory.
pub(super) trait Adapter: Ports {
    fn out16(&mut self, port: u16, value: u16);
    fn in16(&mut self, port: u16) -> u16;
    /// Single bytes to addresses of the legacy range, one after the other.
    fn poke(&mut self, address: u32, bytes: &[u8]);
    fn peek(&mut self, address: u32) -> u8;
    /// To the linear frame buffer.
    fn fill(&mut self, offset: u32, bytes: &[u8]);
}

impl Adapter for Vga {
    fn out16(&mut self, port: u16, value: u16) {
        self.port_write(REGION_DISPI_PORTS, port - DISPI_PORTS.0, &value.to_le_bytes());
    }
    fn in16(&mut self, port: u16) -> u16 {
        let mut data = [0; 2];
        self.port_read(REGION_DISPI_PORTS, port - DISPI_PORTS.0, &mut data);
        u16::from_le_bytes(data)
    }
    fn poke(&mut self, address: u32, bytes: &[u8]) {
        for (address, byte) in (u64::from(address) - LEGACY_MEMORY.0..).zip(bytes) {
            self.mmio_write(REGION_LEGACY_MEMORY, address, &[*byte]);
        }
    }
    fn peek(&mut self, address: u32) -> u8 {
        let mut data = [0];
        self.mmio_read(REGION_LEGACY_MEMORY, u64::from(address) - LEGACY_MEMORY.0, &mut data);
        data[0]
    }
    fn fill(&mut self, offset: u32, bytes: &[u8]) {
        self.mmio_write(BAR_MEMORY, offset.into(), bytes);
    }
}

/// A QEMU without a guest.
struct Qemu {
    process: Child,
    qtest: BufReader<UnixStream>,
    qmp: BufReader<UnixStream>,
    dump: PathBuf,
    _folder: tempfile::TempDir,
}

impl Drop for Qemu {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Waits for QEMU to connect.
fn accept(listener: UnixListener) -> BufReader<UnixStream> {
    let (sender, receiver) = mpsc::channel();
    std::thread::spawn(move || sender.send(listener.accept()));
    let (stream, _) = receiver.recv_timeout(LIMIT).expect("QEMU connects in time").unwrap();
    stream.set_read_timeout(Some(LIMIT)).unwrap();
    BufReader::new(stream)
}

impl Qemu {
    /// `None` where QEMU isn't installed.
    fn start() -> Option<Qemu> {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        let listeners = ["qtest", "qmp"].map(|name| UnixListener::bind(path(name)).unwrap());
        // All HLT: the processor stands still while the clock runs.
        std::fs::write(path("halt"), [0xf4; 0x1_0000]).unwrap();
        let process = Command::new("qemu-system-x86_64")
            .args(["-machine", "pc", "-accel", "tcg", "-nodefaults", "-vga", "none", "-display", "none"])
            .args(["-qtest-log", "none", "-bios", path("halt").to_str().unwrap()])
            .args(["-device", "VGA,addr=02.0,vgamem_mb=32,romfile="])
            .args(["-qtest", &format!("unix:{}", path("qtest").display())])
            .args(["-qmp", &format!("unix:{}", path("qmp").display())])
            .stdin(Stdio::null())
            .spawn();
        let process = match process {
            Ok(process) => process,
            Err(error) => {
                eprintln!("NOT TESTED: qemu-system-x86_64 doesn't start ({error}); install qemu-system-x86");
                return None;
            }
        };
        let [qtest, qmp] = listeners.map(accept);
        let mut qemu = Qemu { process, qtest, qmp, dump: path("dump.ppm"), _folder: folder };
        qemu.read_qmp();
        qemu.qmp("{\"execute\":\"qmp_capabilities\"}");
        for (register, value) in [(0x10_u32, FRAME_BUFFER as u32), (0x04, 3)] {
            qemu.command(&format!("outl 0xcf8 {:#x}", 0x8000_1000 | register));
            qemu.command(&format!("outl 0xcfc {value:#x}"));
        }
        Some(qemu)
    }

    fn command(&mut self, command: &str) -> String {
        self.qtest.get_mut().write_all(format!("{command}\n").as_bytes()).unwrap();
        let mut answer = String::new();
        self.qtest.read_line(&mut answer).unwrap();
        assert!(answer.starts_with("OK"), "{command}: {answer}");
        answer.split_off(2).trim().to_owned()
    }

    fn value(&mut self, command: &str) -> u64 {
        let answer = self.command(command);
        u64::from_str_radix(answer.trim_start_matches("0x"), 16).unwrap()
    }

    fn read_qmp(&mut self) -> String {
        let mut line = String::new();
        assert_ne!(self.qmp.read_line(&mut line).unwrap(), 0, "QEMU is gone");
        line
    }

    fn qmp(&mut self, command: &str) {
        self.qmp.get_mut().write_all(command.as_bytes()).unwrap();
        loop {
            let line = self.read_qmp();
            assert!(!line.contains("\"error\""), "{command}: {line}");
            if line.contains("\"return\"") {
                return;
            }
        }
    }

    fn picture(&mut self) -> Frame {
        self.qmp(&format!("{{\"execute\":\"screendump\",\"arguments\":{{\"filename\":\"{}\"}}}}", self.dump.display()));
        let bytes = std::fs::read(&self.dump).unwrap();
        let mut header = bytes.splitn(4, |&byte| byte == b'\n');
        let (_, size, _) = (header.next().unwrap(), header.next().unwrap(), header.next().unwrap());
        let size = String::from_utf8(size.to_vec()).unwrap();
        let (width, height) = size.split_once(' ').unwrap();
        let mut frame = Frame::new(width.parse().unwrap(), height.parse().unwrap());
        for (pixel, rgb) in frame.pixels_mut().iter_mut().zip(header.next().unwrap().chunks_exact(3)) {
            *pixel = u32::from_be_bytes([0, rgb[0], rgb[1], rgb[2]]);
        }
        frame
    }
}

impl Ports for Qemu {
    fn out(&mut self, port: u16, value: u8) {
        self.command(&format!("outb {port:#x} {value:#x}"));
    }
    fn input(&mut self, port: u16) -> u8 {
        self.value(&format!("inb {port:#x}")) as u8
    }
}

impl Adapter for Qemu {
    fn out16(&mut self, port: u16, value: u16) {
        self.command(&format!("outw {port:#x} {value:#x}"));
    }
    fn in16(&mut self, port: u16) -> u16 {
        self.value(&format!("inw {port:#x}")) as u16
    }
    fn poke(&mut self, address: u32, bytes: &[u8]) {
        self.write(address.into(), bytes);
    }
    fn peek(&mut self, address: u32) -> u8 {
        self.value(&format!("readb {address:#x}")) as u8
    }
    fn fill(&mut self, offset: u32, bytes: &[u8]) {
        self.write(FRAME_BUFFER + u64::from(offset), bytes);
    }
}

impl Qemu {
    fn write(&mut self, address: u64, bytes: &[u8]) {
        use std::fmt::Write as _;
        for (address, bytes) in (address..).step_by(4096).zip(bytes.chunks(4096)) {
            let mut command = format!("write {address:#x} {:#x} 0x", bytes.len());
            bytes.iter().for_each(|byte| write!(command, "{byte:02x}").unwrap());
            self.command(&command);
        }
    }
}

/// Both adapters, of which what is done to one is done to the other.
pub(super) struct Both {
    ours: Arc<Mutex<Vga>>,
    screen: VgaScreen,
    frame: Frame,
    clock: Clock,
    qemu: Qemu,
}

impl Both {
    pub(super) fn start() -> Option<Both> {
        let clock = Clock::manual(Duration::ZERO);
        let qemu = Qemu::start()?;
        let ours = Arc::new(Mutex::new(Vga::new(Config::default(), clock.clone()).unwrap()));
        Some(Both { screen: VgaScreen::new(ours.clone()), ours, frame: Frame::default(), clock, qemu })
    }

    /// Compares the pictures; ours is drawn with what changed, and then once more as a whole.
    pub(super) fn compare(&mut self, what: &str) {
        let theirs = self.qemu.picture();
        self.screen.draw(&mut self.frame, false);
        same(&self.frame, &theirs, what);
        assert!(self.screen.draw(&mut self.frame, false).is_empty(), "{what}: a still picture changed");
        self.screen.draw(&mut self.frame, true);
        same(&self.frame, &theirs, &format!("{what}, drawn as a whole"));
    }

    /// Compares with the cursor's two states; QEMU's may start with either.
    pub(super) fn compare_blinking(&mut self, what: &str) {
        let first = self.qemu.picture();
        let end = Instant::now() + LIMIT;
        let second = loop {
            let picture = self.qemu.picture();
            if picture != first {
                break picture;
            }
            assert!(Instant::now() < end, "{what}: QEMU's cursor doesn't blink");
        };
        let mut theirs = [first, second];
        self.screen.draw(&mut self.frame, false);
        if self.frame != theirs[0] {
            theirs.swap(0, 1);
        }
        same(&self.frame, &theirs[0], &format!("{what}, first"));
        self.clock.advance(Duration::from_millis(230));
        self.screen.draw(&mut self.frame, false);
        same(&self.frame, &theirs[1], &format!("{what}, then"));
        self.clock.advance(Duration::from_millis(230));
        assert_eq!(self.screen.draw(&mut self.frame, false).len(), 1, "{what}: only the cursor");
        same(&self.frame, &theirs[0], &format!("{what}, again"));
        // Whole turns of both, so that what comes next starts alike.
        self.clock.advance(Duration::from_millis(16_000 - 460));
    }
}

/// Asserts that two pictures are the same, and says where they are not.
fn same(ours: &Frame, theirs: &Frame, what: &str) {
    assert_eq!((ours.width(), ours.height()), (theirs.width(), theirs.height()), "{what}: size");
    let differing = ours.pixels().iter().zip(theirs.pixels()).filter(|(ours, theirs)| ours != theirs).count();
    if let Some(at) = ours.pixels().iter().zip(theirs.pixels()).position(|(ours, theirs)| ours != theirs) {
        let (x, y) = (at as u32 % ours.width(), at as u32 / ours.width());
        let (ours, theirs) = (ours.pixels()[at], theirs.pixels()[at]);
        panic!("{what}: {differing} pixels differ, first at {x},{y}: {ours:06x}, QEMU has {theirs:06x}");
    }
}

impl Ports for Both {
    fn out(&mut self, port: u16, value: u8) {
        self.ours.lock().out(port, value);
        self.qemu.out(port, value);
    }
    fn input(&mut self, port: u16) -> u8 {
        let ours = self.ours.lock().input(port);
        let theirs = self.qemu.input(port);
        assert!(ours == theirs || port & 0xf == 0xa, "port {port:#x} reads {ours:#x}, QEMU's {theirs:#x}");
        ours
    }
}

impl Adapter for Both {
    fn out16(&mut self, port: u16, value: u16) {
        self.ours.lock().out16(port, value);
        self.qemu.out16(port, value);
    }
    fn in16(&mut self, port: u16) -> u16 {
        let ours = self.ours.lock().in16(port);
        assert_eq!(ours, self.qemu.in16(port), "port {port:#x}");
        ours
    }
    fn poke(&mut self, address: u32, bytes: &[u8]) {
        self.ours.lock().poke(address, bytes);
        self.qemu.poke(address, bytes);
    }
    fn peek(&mut self, address: u32) -> u8 {
        let ours = self.ours.lock().peek(address);
        let theirs = self.qemu.peek(address);
        assert_eq!(ours, theirs, "address {address:#x}");
        ours
    }
    fn fill(&mut self, offset: u32, bytes: &[u8]) {
        self.ours.lock().fill(offset, bytes);
        self.qemu.fill(offset, bytes);
    }
}

/// `len` bytes without a pattern.
pub(super) fn noise(seed: u64, len: usize) -> Vec<u8> {
    let mut numbers = Accesses::new(seed);
    let mut bytes = vec![0; len];
    bytes.chunks_mut(8).for_each(|chunk| access::fill(chunk, numbers.number()));
    bytes
}
