//! How a port carries commands out (AHCI 1.3.1, section 5.3): it fetches the next one, the drive takes it on, a worker
//! does the work without a lock, and the drive's answer comes in as FISes.
//!
//! Commands that aren't queued are carried out one by one; queued ones side by side, as many as there are workers.
//! Those that no worker has taken yet are still bits in PxCI.
//!
//! What is under way when the host gives up (PxCMD.ST cleared, COMRESET, a failed queue) becomes *stale*: its end
//! changes nothing the guest sees. PxCMD.CR, or BSY of a drive that was reset, stays until the last stale request has
//! left guest memory alone, and no command is fetched before.

use super::{
    command::{self, BusFault, CommandHeader, PACKET_LEN},
    drive::{Drive, Notice, Protocol, Request, Start},
    fis::{self, HostFis},
    port::{Bus, Port},
    registers::{SLOTS, TFD_BUSY, cmd, is, px},
    task_file::{TaskFile, status},
    transfer::{Failure, Outcome},
};

/// SRST in the device control register.
const CONTROL_SRST: u8 = 1 << 2;

/// A request that waits until the host computer can do it.
#[derive(Clone)]
pub(super) struct Held {
    pub(super) slot: u8,
    pub(super) request: Request,
}

/// What is under way at a port.
#[derive(Default)]
pub(super) struct Engine {
    /// An error has stopped the command list until PxCMD.ST is cleared.
    pub(super) halted: bool,
    /// SRST was set by the last device control FIS.
    pub(super) in_soft_reset: bool,
    /// The slot that was fetched last.
    pub(super) last_slot: u8,
    /// A command that isn't queued is under way or held.
    exclusive: bool,
    /// Requests at workers.
    active: u32,
    /// Requests at workers that nobody waits for any more.
    stale: u32,
    /// Counts the times that requests were given up.
    generation: u64,
    /// Requests that the host computer couldn't do yet.
    pub(super) held: Vec<Held>,
    /// Held requests to be tried again.
    resubmitted: Vec<Held>,
}

impl Engine {
    /// Whether a worker is at work.
    pub(super) fn is_occupied(&self) -> bool {
        self.active + self.stale > 0
    }

    /// Whether requests are at work that nobody waits for.
    pub(super) fn is_draining(&self) -> bool {
        self.stale > 0
    }

    pub(super) fn cancel(&mut self) {
        self.generation += 1;
        self.stale += std::mem::take(&mut self.active);
        self.exclusive = false;
        self.held.clear();
        self.resubmitted.clear();
    }

    /// As new; nothing is at workers.
    pub(super) fn forget(&mut self) {
        self.cancel();
        self.halted = false;
        self.in_soft_reset = false;
        self.last_slot = 0;
    }

    /// Held requests are tried again.
    pub(super) fn resubmit(&mut self) {
        self.resubmitted.append(&mut self.held);
    }

    /// Everything that is held, in the order in which it will be tried.
    pub(super) fn all_held(&self) -> impl Iterator<Item = &Held> {
        self.resubmitted.iter().chain(&self.held)
    }

    /// Everything as saved; nothing is at workers.
    pub(super) fn restored(halted: bool, in_soft_reset: bool, last_slot: u8, held: Vec<Held>) -> Self {
        let exclusive = held.iter().any(|held| !matches!(held.request.protocol, Protocol::Queued { .. }));
        Engine { halted, in_soft_reset, last_slot, exclusive, held, ..Engine::default() }
    }
}

/// A request at a worker.
pub(super) struct Job {
    pub(super) slot: u8,
    pub(super) header: CommandHeader,
    pub(super) request: Request,
    generation: u64,
}

/// What the engine did.
pub(super) enum Next {
    /// There is nothing to do.
    Idle,
    /// A command was over at once.
    Progress,
    /// A worker has something to do, and gives it to [`Port::complete`].
    Work(Box<Job>),
}

impl Port {
    /// Whether [`Port::next`] would find something to do.
    pub(super) fn has_work(&self, bus: &Bus) -> bool {
        let ready = bus.is_master
            && self.is_started()
            && self.is_linked()
            && !self.engine.halted
            && !self.signature_due
            && !self.engine.is_draining();
        let may_fetch = !self.engine.exclusive
            && self.regs.get(px::TFD) & u32::from(status::BSY | status::DRQ) == 0
            && self.regs.get(px::CI) != 0;
        ready && (may_fetch || !self.engine.resubmitted.is_empty())
    }

    /// Does what can be done now.
    pub(super) fn next(&mut self, bus: &Bus) -> Next {
        if !self.has_work(bus) {
            return Next::Idle;
        }
        if let Some(held) = self.engine.resubmitted.pop() {
            return self.dispatch(bus, held.slot, held.request);
        }
        let slot = next_slot(self.regs.get(px::CI), self.engine.last_slot);
        self.engine.last_slot = slot;
        self.regs.remove(px::CMD, cmd::CCS);
        self.regs.insert(px::CMD, u32::from(slot) << cmd::CCS_SHIFT);
        self.fetch(bus, slot).unwrap_or_else(|BusFault| {
            self.halt(is::HBFS);
            Next::Progress
        })
    }

    fn fetch(&mut self, bus: &Bus, slot: u8) -> Result<Next, BusFault> {
        let header = CommandHeader::read(&bus.memory, self.command_list(), slot)?;
        let fis = match header.fis_dwords {
            5..=16 => HostFis::parse(&header.fis(&bus.memory)?),
            _ => None,
        };
        let Some(fis) = fis else {
            self.interface_error();
            return Ok(Next::Progress);
        };
        if !fis.is_command {
            self.control_fis(bus, slot, &header, &fis);
            return Ok(Next::Progress);
        }
        let packet = if header.has_packet { Some(header.packet(&bus.memory)?) } else { None };
        let Some(drive) = &mut self.drive else { return Ok(Next::Idle) };
        Ok(match drive.begin(&fis, packet.as_ref()) {
            Start::Run(request) => self.accept(bus, slot, request),
            Start::Over(answer) => {
                self.answer(bus, slot, &answer);
                Next::Progress
            }
            Start::AbortQueue(answer) => {
                self.engine.cancel();
                self.answer(bus, slot, &answer);
                Next::Progress
            }
        })
    }

    /// The drive has taken the command on: a queued one has left PxCI, any other keeps the drive busy.
    fn accept(&mut self, bus: &Bus, slot: u8, request: Request) -> Next {
        if let Protocol::Queued { .. } = request.protocol {
            self.receive(bus, fis::area::REGISTER, &fis::register(&TaskFile::DONE, false));
            self.set_task_file(&TaskFile::DONE);
            self.regs.remove(px::CI, 1 << slot);
        } else {
            self.regs.insert(px::TFD, TFD_BUSY);
            self.engine.exclusive = true;
        }
        self.dispatch(bus, slot, request)
    }

    fn dispatch(&mut self, bus: &Bus, slot: u8, request: Request) -> Next {
        // Data of a queued command goes where the slot of its tag says: software uses the same number for both.
        let data_slot = match request.protocol {
            Protocol::Queued { tag, .. } => tag,
            _ => slot,
        };
        match CommandHeader::read(&bus.memory, self.command_list(), data_slot) {
            Ok(header) => {
                self.engine.active += 1;
                Next::Work(Box::new(Job { slot, header, request, generation: self.engine.generation }))
            }
            Err(BusFault) => {
                self.halt(is::HBFS);
                Next::Progress
            }
        }
    }

    /// A device control FIS: software reset (Serial ATA 3.0, section 11.4).
    fn control_fis(&mut self, bus: &Bus, slot: u8, header: &CommandHeader, fis: &HostFis) {
        let asserted = fis.control & CONTROL_SRST != 0;
        let was = std::mem::replace(&mut self.engine.in_soft_reset, asserted);
        self.regs.insert(px::TFD, TFD_BUSY);
        if asserted {
            self.cancel();
            if let Some(drive) = &mut self.drive {
                drive.reset(false);
            }
        }
        if header.clear_busy || was && !asserted {
            self.regs.remove(px::CI, 1 << slot);
        }
        if header.clear_busy {
            self.regs.remove(px::TFD, TFD_BUSY);
        }
        if was && !asserted {
            self.signature_due = true;
            self.try_signature(bus);
        }
    }

    /// What a worker did with `job` comes to its end. Gives what whoever runs the machine wants to know.
    pub(super) fn complete(&mut self, bus: &Bus, job: Job, outcome: Outcome) -> Option<Notice> {
        if job.generation != self.engine.generation {
            self.engine.stale -= 1;
            if !self.engine.is_draining() {
                self.drained(bus);
            }
            return None;
        }
        self.engine.active -= 1;
        let drive = self.drive.as_mut()?;
        let request = &job.request;
        let answer = match outcome.result {
            Ok(()) => drive.finish(request, &outcome.taken),
            Err(Failure::Drive(why)) => drive.fail(request, &why),
            // The drive waits for the rest of the transfer; a reset frees it.
            Err(Failure::Bus) => {
                self.halt(is::HBFS);
                return None;
            }
            Err(Failure::Overflow) => {
                self.halt(is::OFS);
                return None;
            }
            Err(Failure::Held) => {
                self.engine.held.push(Held { slot: job.slot, request: job.request });
                return None;
            }
        };
        let notice = drive.take_notice();
        if outcome.interrupt {
            self.regs.insert(px::IS, is::DPS);
        }
        self.conclude(bus, &job, &answer, outcome.moved);
        notice
    }

    /// Sends the FISes that end a command.
    fn conclude(&mut self, bus: &Bus, job: &Job, answer: &TaskFile, moved: u32) {
        let slot = job.slot;
        if let Protocol::Queued { tag, to_host } = job.request.protocol {
            return self.conclude_queued(bus, tag, to_host, answer, moved);
        }
        self.engine.exclusive = false;
        if moved > 0 && command::set_byte_count(&bus.memory, self.command_list(), slot, moved).is_err() {
            self.halt(is::HBFS);
        }
        let blocks = moved.div_ceil(u32::from(block_len(job.request.protocol)));
        match job.request.protocol {
            // The PIO setup FIS of the last block tells the final status as well: nothing follows.
            Protocol::PioIn { block } if !answer.is_error() => {
                self.pio_setup(bus, answer, last_block(moved, block), true);
                self.set_task_file(answer);
                self.regs.remove(px::CI, 1 << slot);
                return;
            }
            // The first block of PIO data to the drive is asked for without an interrupt.
            Protocol::PioOut { block } if moved > 0 => {
                self.pio_setup_out(bus, answer, last_block(moved, block), blocks > 1);
            }
            Protocol::Packet { dma: false, block } if moved > 0 => {
                self.pio_setup(bus, answer, last_block(moved, block), true);
            }
            _ => {}
        }
        self.answer(bus, slot, answer);
    }

    fn conclude_queued(&mut self, bus: &Bus, tag: u8, to_host: bool, answer: &TaskFile, moved: u32) {
        if answer.is_error() {
            // The others of the queue are aborted with it.
            self.engine.cancel();
            self.receive(bus, fis::area::SET_DEVICE_BITS, &fis::set_device_bits(answer.status, answer.error, 0));
        } else {
            let done = 1 << tag;
            self.receive(bus, fis::area::DMA_SETUP, &fis::dma_setup(tag, moved, to_host));
            self.receive(bus, fis::area::SET_DEVICE_BITS, &fis::set_device_bits(answer.status, 0, done));
            self.regs.remove(px::SACT, done);
        }
        self.regs.insert(px::IS, is::SDBS);
        self.set_task_file(answer);
    }

    /// A register FIS with an interrupt: the command is over, and leaves PxCI unless it failed.
    fn answer(&mut self, bus: &Bus, slot: u8, answer: &TaskFile) {
        self.receive(bus, fis::area::REGISTER, &fis::register(answer, true));
        self.regs.insert(px::IS, is::DHRS);
        self.set_task_file(answer);
        if !answer.is_error() {
            self.regs.remove(px::CI, 1 << slot);
        }
    }

    fn pio_setup(&mut self, bus: &Bus, answer: &TaskFile, len: u16, interrupt: bool) {
        let before = TaskFile { status: status::READY | status::DRQ, error: 0, ..*answer };
        self.receive(bus, fis::area::PIO_SETUP, &fis::pio_setup(&before, answer.status, len, true, interrupt));
        if interrupt {
            self.regs.insert(px::IS, is::PSS);
        }
    }

    fn pio_setup_out(&mut self, bus: &Bus, answer: &TaskFile, len: u16, interrupt: bool) {
        let before = TaskFile { status: status::READY | status::DRQ, error: 0, ..*answer };
        let end = status::BSY | status::DRDY;
        self.receive(bus, fis::area::PIO_SETUP, &fis::pio_setup(&before, end, len, false, interrupt));
        if interrupt {
            self.regs.insert(px::IS, is::PSS);
        }
    }

    /// Puts requests of a saved state in order again: the drive takes on anew what it had accepted.
    pub(super) fn held_again(drive: &mut Drive, slot: u8, fis: &HostFis, packet: &[u8; PACKET_LEN]) -> Option<Held> {
        match drive.resume(fis, packet) {
            Start::Run(request) => Some(Held { slot, request }),
            Start::Over(_) | Start::AbortQueue(_) => None,
        }
    }
}

/// The first slot after `last` with a bit in `issued`, which isn't zero.
fn next_slot(issued: u32, last: u8) -> u8 {
    let from = (u32::from(last) + 1) % SLOTS;
    ((issued.rotate_right(from).trailing_zeros() + from) % SLOTS) as u8
}

fn block_len(protocol: Protocol) -> u16 {
    match protocol {
        Protocol::PioIn { block } | Protocol::PioOut { block } | Protocol::Packet { block, .. } => block.max(1),
        Protocol::NonData | Protocol::Dma | Protocol::Queued { .. } => u16::MAX,
    }
}

/// Bytes of the last of the blocks in which `moved` bytes went.
fn last_block(moved: u32, block: u16) -> u16 {
    match moved % u32::from(block.max(1)) {
        0 => block,
        rest => rest as u16,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_take_turns() {
        assert_eq!(next_slot(0b1, 0), 0);
        assert_eq!(next_slot(0b1011, 0), 1);
        assert_eq!(next_slot(0b1011, 1), 3);
        assert_eq!(next_slot(0b1011, 31), 0);
        assert_eq!(next_slot(1 << 31, 31), 31);
    }

    #[test]
    fn the_last_block_may_be_short() {
        assert_eq!((last_block(4096, 512), last_block(600, 512)), (512, 88));
    }
}
