//! A port's registers and link (AHCI 1.3.1, sections 3.3, 5 and 10): what writes cause, COMRESET, the signature,
//! FISes that come in, and errors. How commands are carried out stands in `engine`.

use hypervisor::memory::GuestMemory;
use vm_memory::{Bytes, GuestAddress};

use super::{
    drive::Drive,
    engine::Engine,
    fis,
    registers::{self, PORT_WORDS, RegisterFile, SIG_NONE, TFD_BUSY, TFD_NO_DEVICE, cmd, is, px, sctl, serr, ssts},
    task_file::{TaskFile, status},
};

/// What the controller sees of the bus: memory, while it may be its master.
#[derive(Clone)]
pub(super) struct Bus {
    pub(super) memory: GuestMemory,
    pub(super) is_master: bool,
}

/// A port with its drive.
pub(super) struct Port {
    pub(super) regs: RegisterFile<PORT_WORDS>,
    pub(super) drive: Option<Drive>,
    /// The drive has a signature to send: as soon as the port takes it.
    pub(super) signature_due: bool,
    pub(super) engine: Engine,
}

impl Port {
    pub(super) fn new(drive: Option<Drive>) -> Self {
        let mut port =
            Port { regs: RegisterFile::new(&registers::PORT), drive, signature_due: false, engine: Engine::default() };
        port.link_up();
        port
    }

    /// As after power-on; nothing is under way. The drive was reset before.
    pub(super) fn reset(&mut self) {
        self.regs = RegisterFile::new(&registers::PORT);
        self.engine.forget();
        self.signature_due = false;
        self.link_up();
    }

    /// As after an HBA reset, which keeps the addresses of the command list and the received FISes.
    pub(super) fn hba_reset(&mut self) {
        let addresses = [px::CLB, px::CLBU, px::FB, px::FBU].map(|offset| (offset, self.regs.get(offset)));
        self.reset();
        for (offset, value) in addresses {
            self.regs.put(offset, value);
        }
    }

    /// Reads the register at `offset`.
    pub(super) fn read(&self, offset: u8) -> u32 {
        match offset {
            px::IS => self.interrupt_status(),
            px::CMD => {
                let running = self.regs.get(px::CMD) & cmd::ST != 0 || self.engine.is_occupied();
                let receiving = self.regs.get(px::CMD) & cmd::FRE != 0;
                self.regs.get(px::CMD) | if running { cmd::CR } else { 0 } | if receiving { cmd::FR } else { 0 }
            }
            _ => self.regs.get(offset),
        }
    }

    /// Writes `value` to the bytes of the register at `offset` that `enabled` covers.
    pub(super) fn write(&mut self, bus: &Bus, offset: u8, value: u32, enabled: u32) {
        let before = self.regs.get(offset);
        let ones = self.regs.write(offset, value, enabled);
        match offset {
            px::CMD => self.command_written(bus, before, ones),
            px::SCTL => self.control_written(bus, before),
            // Neither register takes anything while the command list doesn't run.
            px::SACT | px::CI if self.is_started() => self.regs.insert(offset, ones),
            _ => {}
        }
    }

    fn command_written(&mut self, bus: &Bus, before: u32, ones: u32) {
        let now = self.regs.get(px::CMD);
        if ones & cmd::CLO != 0 && before & cmd::ST == 0 {
            self.regs.remove(px::TFD, u32::from(status::BSY | status::DRQ));
        }
        if before & !now & cmd::ST != 0 {
            self.regs.put(px::CI, 0);
            self.regs.put(px::SACT, 0);
            self.regs.remove(px::CMD, cmd::CCS);
            self.cancel();
            self.engine.halted = false;
        }
        if !before & now & cmd::FRE != 0 {
            self.try_signature(bus);
        }
    }

    fn control_written(&mut self, bus: &Bus, before: u32) {
        let (was, now) = (before & sctl::DET, self.regs.get(px::SCTL) & sctl::DET);
        match now {
            _ if was == now => {}
            0 => {
                self.link_up();
                self.try_signature(bus);
            }
            sctl::DET_RESET => self.link_down(0),
            sctl::DET_DISABLE => self.link_down(ssts::DET_OFFLINE),
            _ => {}
        }
    }

    fn link_down(&mut self, detection: u32) {
        self.cancel();
        self.engine.halted = false;
        self.signature_due = false;
        self.regs.put(px::SSTS, detection);
        self.regs.put(px::SIG, SIG_NONE);
        self.regs.put(px::TFD, TFD_NO_DEVICE);
        if let Some(drive) = &mut self.drive {
            drive.reset(true);
        }
    }

    fn link_up(&mut self) {
        if self.drive.is_none() {
            self.regs.put(px::SSTS, 0);
            return;
        }
        let limit = (self.regs.get(px::SCTL) & sctl::SPD) >> sctl::SPD_SHIFT;
        let generation = if limit == 0 { 3 } else { limit.min(3) };
        self.regs.put(px::SSTS, ssts::IPM_ACTIVE | generation << ssts::SPD_SHIFT | ssts::DET_ESTABLISHED);
        self.regs.insert(px::SERR, serr::DIAG_X | serr::DIAG_N);
        self.regs.put(px::TFD, TFD_BUSY);
        self.signature_due = true;
    }

    /// The host gives up what is under way. It goes on behind the scenes until it has left guest memory alone.
    pub(super) fn cancel(&mut self) {
        self.engine.cancel();
        if let Some(drive) = &mut self.drive {
            drive.abandon();
        }
    }

    /// Lets the drive send its signature, if it is due and the port can take it.
    pub(super) fn try_signature(&mut self, bus: &Bus) {
        let receives = bus.is_master && self.regs.get(px::CMD) & cmd::FRE != 0;
        if !self.signature_due || !receives || self.engine.is_draining() {
            return;
        }
        let Some(signature) = self.drive.as_ref().map(Drive::signature) else { return };
        self.signature_due = false;
        let lba = signature.lba as u32;
        self.regs.put(px::SIG, lba << 8 | u32::from(signature.count & 0xff));
        self.receive(bus, fis::area::REGISTER, &fis::register(&signature, false));
        self.set_task_file(&signature);
    }

    /// The last request that was given up has ended.
    pub(super) fn drained(&mut self, bus: &Bus) {
        if self.signature_due {
            self.try_signature(bus);
        } else if self.is_linked() && self.regs.get(px::TFD) & TFD_BUSY != 0 {
            self.set_task_file(&TaskFile::DONE);
        }
    }

    /// Puts a FIS into the received FIS area.
    pub(super) fn receive(&mut self, bus: &Bus, offset: u64, bytes: &[u8]) {
        if self.regs.get(px::CMD) & cmd::FRE == 0 {
            return;
        }
        let area = u64::from(self.regs.get(px::FBU)) << 32 | u64::from(self.regs.get(px::FB));
        if bus.memory.write_slice(bytes, GuestAddress(area | offset)).is_err() {
            self.halt(is::HBFS);
        }
    }

    /// Takes over the drive's registers; an error stops the command list.
    pub(super) fn set_task_file(&mut self, task_file: &TaskFile) {
        self.regs.put(px::TFD, u32::from(task_file.status) | u32::from(task_file.error) << 8);
        if task_file.is_error() {
            self.halt(is::TFES);
        }
    }

    /// An error for which software has to stop and start the command list.
    pub(super) fn halt(&mut self, cause: u32) {
        self.regs.insert(px::IS, cause);
        self.engine.halted = true;
    }

    /// The drive refused a FIS: it isn't one that the host may send.
    pub(super) fn interface_error(&mut self) {
        self.regs.insert(px::SERR, serr::ERR_P | serr::DIAG_H);
        self.halt(is::IFS);
    }

    /// PxIS, with the bits that follow PxSERR.
    fn interrupt_status(&self) -> u32 {
        let errors = self.regs.get(px::SERR);
        let follows = |bit: u32, cause: u32| if errors & bit != 0 { cause } else { 0 };
        self.regs.get(px::IS) | follows(serr::DIAG_X, is::PCS) | follows(serr::DIAG_N, is::PRCS)
    }

    /// Whether an enabled interrupt is pending.
    pub(super) fn interrupts(&self) -> bool {
        self.interrupt_status() & self.regs.get(px::IE) != 0
    }

    pub(super) fn is_started(&self) -> bool {
        self.regs.get(px::CMD) & cmd::ST != 0
    }

    pub(super) fn is_linked(&self) -> bool {
        self.regs.get(px::SSTS) & ssts::DET == ssts::DET_ESTABLISHED
    }

    /// Address of the command list.
    pub(super) fn command_list(&self) -> u64 {
        u64::from(self.regs.get(px::CLBU)) << 32 | u64::from(self.regs.get(px::CLB))
    }
}
