# Usage: debian-after.sh ROOT OUT GRUB_MODULES OFFSET_BYTES SIZE_KIB. Runs when all packages are installed: settles the
# system, and copies it into the file system at OFFSET of OUT/disk.raw; kernel and initial file system go to OUT as well.
set -eu
root=$1 out=$2 grub=$3 offset=$4 size=$5

echo guest > "$root/etc/hostname"
echo 127.0.0.1 localhost guest > "$root/etc/hosts"
echo 'LABEL=debian / ext4 errors=remount-ro 0 1' > "$root/etc/fstab"
# A known machine: the first start is like every other.
echo 0123456789abcdef0123456789abcdef > "$root/etc/machine-id"
echo root:tandem | chroot "$root" chpasswd
mkdir -p "$root/etc/systemd/journald.conf.d" "$root/etc/systemd/logind.conf.d" "$root/etc/systemd/system.conf.d"
printf '[Journal]\nStorage=volatile\n' > "$root/etc/systemd/journald.conf.d/volatile.conf"
# A slow processor is no reason to give up on a unit.
printf '[Manager]\nDefaultTimeoutStartSec=300s\nDefaultDeviceTimeoutSec=300s\n' > "$root/etc/systemd/system.conf.d/patient.conf"
chroot "$root" systemctl --quiet mask \
  apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer e2scrub_all.timer e2scrub_reap.service fstrim.timer \
  systemd-tmpfiles-clean.timer systemd-pstore.service systemd-binfmt.service \
  dev-hugepages.mount dev-mqueue.mount sys-kernel-debug.mount sys-kernel-tracing.mount modprobe@.service
# Drivers that the processor's features or the chipset ask for and that nothing here uses: each costs a second in the lab.
for module in aesni_intel ghash_clmulni_intel sha256_ssse3 sha512_ssse3 crct10dif_pclmul crc32_pclmul kvm kvm_amd kvm_intel \
  intel_rapl_msr intel_rapl_common rapl iTCO_wdt i2c_i801 lpc_ich pcspkr joydev vmw_vmci qemu_fw_cfg; do
  echo "blacklist $module"
done > "$root/etc/modprobe.d/unused.conf"

release=$(ls "$root/lib/modules")
mkdir -p "$root/boot/grub"
cp -r "$grub" "$root/boot/grub/i386-pc"
rm -f "$root"/boot/grub/i386-pc/*.module "$root"/boot/grub/i386-pc/*.img
line="root=LABEL=debian ro vga=normal console=ttyS0,115200 console=tty0"
cat > "$root/boot/grub/grub.cfg" <<EOF
serial --unit=0 --speed=115200
terminal_input console serial
terminal_output console serial
set default=0
set timeout=3
menuentry 'Debian GNU/Linux, text screen' {
  linux /boot/vmlinuz-$release $line nomodeset quiet
  initrd /boot/initrd.img-$release
}
menuentry 'Debian GNU/Linux, graphical screen' {
  linux /boot/vmlinuz-$release $line quiet
  initrd /boot/initrd.img-$release
}
menuentry 'Debian GNU/Linux, every message' {
  linux /boot/vmlinuz-$release $line nomodeset
  initrd /boot/initrd.img-$release
}
EOF
rm -rf "$root"/var/lib/apt/lists/* "$root"/var/cache/apt/* "$root"/var/log/*.log

# What is mounted below the root is not the system's, and an ordinary user can't make devices: the kernel does.
mkdir "$out/root"
tar -C "$root" --one-file-system --exclude='./dev/*' -c . | tar -C "$out/root" -x -p
cp "$root/boot/vmlinuz-$release" "$out/vmlinuz"
cp "$root/boot/initrd.img-$release" "$out/initrd"
chmod 644 "$out/vmlinuz" "$out/initrd"
# GRUB 2.06 reads neither a checksum seed nor an orphan file.
mke2fs -q -F -t ext4 -L debian -O ^metadata_csum_seed,^orphan_file -E "offset=$offset,root_owner=0:0" \
  -d "$out/root" "$out/disk.raw" "${size}k"
rm -rf "$out/root"
