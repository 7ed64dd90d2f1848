# Usage: debian-before.sh ROOT. Runs before the kernel is installed: decides what its initial file system holds.
set -eu
root=$1
mkdir -p "$root/etc/initramfs-tools/conf.d" "$root/usr/share/initramfs-tools/modules.d"
cat > "$root/etc/initramfs-tools/conf.d/small" <<'EOF'
MODULES=list
COMPRESS=zstd
FSTYPE=ext4
EOF
printf '%s\n' ahci ata_piix sd_mod virtio_pci virtio_blk virtio_scsi nvme ext4 \
  > "$root/usr/share/initramfs-tools/modules.d/small"
