#!/bin/sh
# Makes the image of the guest: build.sh IMAGE. It has the size of a 1.44 MB floppy and starts from a hard disk as well.
set -eu
here=$(dirname "$0")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
as --32 -o "$work/vga-modes.o" "$here/vga-modes.S"
ld -m elf_i386 -e _start -Ttext 0x7c00 -o "$work/vga-modes" "$work/vga-modes.o"
objcopy -O binary -j .text "$work/vga-modes" "$1"
truncate -s 1474560 "$1"
