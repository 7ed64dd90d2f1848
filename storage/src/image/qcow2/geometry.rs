//! The arithmetic of a qcow2 image's two-level tables.

/// Sizes that don't change while an image is open.
#[derive(Debug, Clone, Copy)]
pub(super) struct Geometry {
    /// log2 of the cluster size in bytes, 9 to 21.
    pub(super) cluster_bits: u32,
    /// log2 of the bits in a reference count, 0 to 6.
    pub(super) refcount_order: u32,
    /// Length of the disk in bytes.
    pub(super) virtual_size: u64,
}

impl Geometry {
    pub(super) fn cluster_size(&self) -> u64 {
        1 << self.cluster_bits
    }

    /// Offset within its cluster.
    pub(super) fn in_cluster(&self, offset: u64) -> u64 {
        offset & (self.cluster_size() - 1)
    }

    /// log2 of the entries in a level 2 table.
    pub(super) fn l2_bits(&self) -> u32 {
        self.cluster_bits - 3
    }

    pub(super) fn l2_entries(&self) -> usize {
        1 << self.l2_bits()
    }

    /// The level 1 entry of a guest cluster.
    pub(super) fn l1_index(&self, guest_cluster: u64) -> usize {
        (guest_cluster >> self.l2_bits()) as usize
    }

    /// The level 2 entry of a guest cluster, within its table.
    pub(super) fn l2_index(&self, guest_cluster: u64) -> usize {
        guest_cluster as usize & (self.l2_entries() - 1)
    }

    pub(super) fn l1_entries_needed(&self) -> u64 {
        self.guest_clusters().div_ceil(1 << self.l2_bits())
    }

    pub(super) fn guest_clusters(&self) -> u64 {
        self.virtual_size.div_ceil(self.cluster_size())
    }

    /// log2 of the reference counts in one block.
    pub(super) fn refcounts_bits(&self) -> u32 {
        self.cluster_bits + 3 - self.refcount_order
    }
}
