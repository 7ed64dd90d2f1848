//! What a machine answers when its guest leaves for it.

/// What happened to a processor, beyond an access. The processor has stopped and waits for a reset.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum VcpuEvent {
    /// A fault while a double fault was delivered: a PC resets itself.
    TripleFault,
    /// The processor can't go on on this host.
    Failed {
        /// Why, with the registers, for the log and the person.
        reason: String,
    },
}

/// The machine behind the processors. Its functions are called on the processors' threads, by several at once, with no
/// lock of this crate held except, for writes that have gathered, the coalesced ring's. Gathered writes also come on the
/// thread that drains them or pauses.
///
/// What changes the machine's state (reset, power-off, pause) is queued for the thread that owns it: waiting here for
/// the processors to pause would wait for oneself.
pub trait ExitHandler: Send + Sync {
    /// A read of 1, 2 or 4 bytes: fills `data`.
    fn port_read(&self, port: u16, data: &mut [u8]);

    /// A write of 1, 2 or 4 bytes.
    fn port_write(&self, port: u16, data: &[u8]);

    /// Repeated reads of `size` bytes (`rep insb` and the like): fills `data`, a multiple of `size` long, in order.
    fn port_read_repeated(&self, port: u16, size: usize, data: &mut [u8]) {
        data.chunks_exact_mut(size).for_each(|data| self.port_read(port, data));
    }

    /// Repeated writes of `size` bytes (`rep outsb` and the like).
    fn port_write_repeated(&self, port: u16, size: usize, data: &[u8]) {
        data.chunks_exact(size).for_each(|data| self.port_write(port, data));
    }

    /// A read of 1 to 8 bytes where the guest has no memory: fills `data`.
    fn mmio_read(&self, address: u64, data: &mut [u8]);

    /// A write of 1 to 8 bytes where the guest has no memory, or may only read.
    fn mmio_write(&self, address: u64, data: &[u8]);

    /// A processor has stopped.
    fn event(&self, vcpu: u32, event: VcpuEvent);
}
