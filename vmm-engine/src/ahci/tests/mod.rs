//! Tests of the controller as a driver sees it.

mod ata;
mod disk;
mod driver;
mod errors;
mod life;
mod nonsense;
mod optical;
mod queued;
mod registers;

use std::sync::Arc;

use hypervisor::memory::guest_memory;
use machine::{
    device_contract,
    line::{InterruptLine, NoMsi},
};

use self::disk::TestDisk;
use super::{Ahci, AhciWiring, BAR_INDEX_DATA, BAR_REGISTERS, NoDiskEvents};

/// A stopped controller with a disk, a CD drive with a disc and one without.
fn controller() -> Ahci {
    let disk = Arc::new(TestDisk::numbered(4096));
    let wiring = AhciWiring {
        memory: guest_memory(&[(0, 1 << 20)]).unwrap(),
        line: InterruptLine::detached(),
        messages: Arc::new(NoMsi),
        events: Arc::new(NoDiskEvents),
    };
    let attachments = vec![driver::disk(&disk), driver::optical(Some(&disk)), driver::optical(None)];
    Ahci::new(driver::config(attachments), wiring).unwrap()
}

device_contract!(
    contract,
    controller(),
    &[
        Region::Memory { region: BAR_REGISTERS, len: 0x500 },
        Region::Port { region: BAR_INDEX_DATA, len: 0x20 },
        Region::Config,
    ]
);
