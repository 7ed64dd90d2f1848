# A guest that draws in one display mode after the other, for comparing display adapters.
#
# Protocol: when a mode is drawn completely, "mode N\n" (N from 1, decimal) is written to the debug console, port
# E9h. Any key goes on to the next mode. After the last one's key, "end\n" is written, and the processor waits for ever.
# A mode that the VGA BIOS doesn't offer gives "mode N missing\n" instead. In mode 1 the cursor blinks; nothing else moves.
#
# The image is a boot sector with the rest of the program behind it; it starts from a floppy or a hard disk.

        .intel_syntax noprefix
        .code16
        .globl _start

        .equ    SECTORS, 15             # behind the boot sector
        .equ    BUFFER, 0x1000          # segment of 64 KiB for data

        .text
_start: .byte   0xea                    # jmp 0:begin
        .word   begin, 0

begin:  cli
        xor     ax, ax
        mov     ds, ax
        mov     es, ax
        mov     ss, ax
        mov     sp, 0x7c00
        sti
        cld
        mov     [drive], dl
        mov     ah, 8                   # geometry
        xor     di, di
        int     0x13
        jc      failed
        and     cx, 0x3f
        mov     [track], cx
        mov     cl, dh
        inc     cx
        mov     [heads], cx
        xor     ax, ax
        mov     es, ax
        mov     si, 1
        mov     bx, 0x7e00
load:   mov     ax, si
        xor     dx, dx
        div     word ptr [track]
        mov     cl, dl
        inc     cl                      # sector
        xor     dx, dx
        div     word ptr [heads]
        mov     ch, al                  # cylinder
        mov     dh, dl                  # head
        mov     dl, [drive]
        mov     bp, 3                   # attempts
1:      mov     ax, 0x0201
        int     0x13
        jnc     2f
        xor     ah, ah
        int     0x13
        dec     bp
        jnz     1b
        jmp     failed
2:      add     bx, 512
        inc     si
        cmp     si, SECTORS
        jbe     load
        jmp     main

failed: mov     si, offset text_failed
        call    print
halt:   hlt                             # interrupts stay on: the last key is taken
        jmp     halt

# Writes the text at SI to the debug console.
print:  lodsb
        test    al, al
        jz      1f
        out     0xe9, al
        jmp     print
1:      ret

drive:  .byte   0
track:  .word   0
heads:  .word   0
text_failed:
        .asciz  "vga-modes: the disk can't be read\n"

        .org    510
        .word   0xaa55

# ---------------------------------------------------------------------------------------------------------------------

main:   mov     word ptr [number], 0
next:   mov     bx, [number]
        shl     bx, 1
        mov     bx, [modes + bx]
        test    bx, bx
        jz      end
        inc     word ptr [number]
        mov     dword ptr [seed], 0x12345678
        push    ds
        push    es
        call    bx                      # carry: missing
        pop     es
        pop     ds
        pushf
        mov     ax, [number]
        mov     bl, 10
        div     bl
        add     ax, 0x3030
        mov     si, offset text_number
        cmp     al, 0x30
        je      1f
        mov     [si], al
        inc     si
1:      mov     [si], ah
        mov     dword ptr [si + 1], 0x0a    # "\n", 0
        popf
        jnc     2f
        mov     dword ptr [si + 1], 0x73696d20
        mov     dword ptr [si + 5], 0x676e6973
        mov     word ptr [si + 9], 0x0a
2:      mov     si, offset text_mode
        call    print
        xor     ah, ah
        int     0x16                    # any key
        jmp     next

end:    mov     si, offset text_end
        call    print
        jmp     halt

modes:  .word   text_attributes, text_fonts, text_40, text_50, cga_4, cga_6, planes_0d, planes_12, bytes_13, bytes_x
        .word   vbe_800_8, vbe_1024_16, vbe_1280_24, vbe_1920_32, dispi_2560_32, 0
number: .word   0
seed:   .long   0
text_mode:
        .ascii  "mode "
text_number:
        .fill   16
text_end:
        .asciz  "end\n"

# The next number of a sequence without a pattern, in EAX.
random: mov     eax, cs:[seed]
        imul    eax, eax, 1664525
        add     eax, 1013904223
        mov     cs:[seed], eax
        ror     eax, 13
        ret

# Fills CX bytes (a multiple of 4; 0 is 64 KiB) at ES:DI with such numbers.
fill:   push    cx
        shr     cx, 2
        jnz     1f
        mov     cx, 0x4000
1:      call    random
        stosd
        loop    1b
        pop     cx
        ret

# Writes AH to the register with index AL at port DX.
set:    out     dx, ax
        ret

# Sets 256 colours without a pattern.
colours:
        mov     dx, 0x3c8
        xor     al, al
        out     dx, al
        inc     dx
        mov     cx, 768
1:      call    random
        out     dx, al
        loop    1b
        ret

# Writes AH to attribute controller register AL, with the display on.
attribute:
        push    ax
        mov     dx, 0x3da
        in      al, dx
        pop     ax
        mov     dx, 0x3c0
        out     dx, al
        mov     al, ah
        out     dx, al
        mov     al, 0x20
        out     dx, al
        ret

# Fills 32 KiB in each of the four planes, from A0000h on.
planes: mov     ax, 0xa000
        mov     es, ax
        mov     bx, 0x0102              # map mask register, plane 0
1:      mov     dx, 0x3c4
        mov     ax, bx
        call    set
        xor     di, di
        mov     cx, 0x8000
        call    fill
        shl     bh
        cmp     bh, 0x10
        jne     1b
        mov     ax, 0x0f02
        mov     dx, 0x3c4
        jmp     set

# BIOS mode AL, with bit 7 of text attributes as intensity and without a cursor.
text_mode_al:
        xor     ah, ah
        int     0x10
        mov     ax, 0x1003
        xor     bx, bx
        int     0x10
        mov     ah, 1
        mov     cx, 0x2000
        int     0x10
        mov     ax, 0xb800
        mov     es, ax
        xor     di, di
        ret

# CX cells, so that each character and each attribute is seen.
cells:  xor     bx, bx
1:      mov     al, bl
        mov     ah, bl
        add     ah, bh
        xor     ah, 0x5a
        stosw
        inc     bx
        loop    1b
        clc
        ret

# ---------------------------------------------------------------------------------------------------------------------

text_attributes:
        mov     al, 3
        call    text_mode_al
        mov     cx, 2000
        call    cells
        mov     ah, 1                   # a cursor
        mov     cx, 0x0b0d
        int     0x10
        mov     ah, 2
        xor     bx, bx
        mov     dx, 0x0c28
        int     0x10
        clc
        ret

text_fonts:
        mov     al, 3
        call    text_mode_al
        mov     cx, 2000
        call    cells
        mov     si, offset 2f           # plane 2 at A0000h
        call    registers
        mov     ax, 0xa000
        mov     es, ax
        xor     di, di
        mov     cx, 0x2000
        call    fill
        mov     di, 0x4000
        mov     cx, 0x2000
        call    fill
        mov     si, offset 3f           # and back
        call    registers
        clc
        ret
2:      .word   0x3c4, 0x0402, 0x3c4, 0x0604, 0x3ce, 0x0204, 0x3ce, 0x0005, 0x3ce, 0x0406, 0
3:      .word   0x3c4, 0x0302, 0x3c4, 0x0204, 0x3ce, 0x0004, 0x3ce, 0x1005, 0x3ce, 0x0e06, 0x3c4, 0x0403, 0

# Writes pairs of port and index with value, from CS:SI to a zero.
registers:
        mov     dx, cs:[si]
        test    dx, dx
        jz      1f
        mov     ax, cs:[si + 2]
        call    set
        add     si, 4
        jmp     registers
1:      ret

text_40:
        mov     al, 1
        call    text_mode_al
        mov     cx, 1000
        jmp     cells

text_50:
        mov     al, 3
        call    text_mode_al
        mov     ax, 0x1112              # font of 8 by 8
        xor     bx, bx
        int     0x10
        mov     ah, 1
        mov     cx, 0x2000
        int     0x10
        mov     ax, 0xb800
        mov     es, ax
        xor     di, di
        mov     cx, 4000
        jmp     cells

cga_4:  mov     ax, 4
        int     0x10
        mov     ax, 0xb800
        mov     es, ax
        xor     di, di
        mov     cx, 0x4000
        call    fill
        clc
        ret

cga_6:  mov     ax, 6
        int     0x10
        mov     ax, 0xb800
        mov     es, ax
        xor     di, di
        mov     cx, 0x4000
        call    fill
        clc
        ret

# Panned by three pixels, with another start address and a split screen.
planes_0d:
        mov     ax, 0x0d
        int     0x10
        call    planes
        mov     ax, 0x0313
        call    attribute
        mov     si, offset 1f
        call    registers
        clc
        ret
1:      .word   0x3d4, 0x010c, 0x3d4, 0x410d, 0x3d4, 0x8f18, 0x3d4, 0x0f07, 0x3d4, 0x8009, 0

# All write modes, both read modes, rotation, set/reset, logical operations and bit mask.
planes_12:
        mov     ax, 0x12
        int     0x10
        call    planes
        mov     si, offset operations
1:      cmp     byte ptr cs:[si], 0xff
        je      3f
        mov     bl, 0                   # registers of the graphics controller
        mov     dx, 0x3ce
2:      mov     al, cs:[operation_registers + bx]
        mov     ah, cs:[si]
        call    set
        inc     si
        inc     bl
        mov     bh, 0
        cmp     bl, 7
        jne     2b
        lodsb                           # map mask
        mov     ah, al
        mov     al, 2
        mov     dx, 0x3c4
        call    set
        push    si
        mov     cx, 2000
4:      call    random
        mov     bx, ax
        and     bx, 0x7fff
        mov     al, es:[bx]             # latches, or a comparison
        add     ah, al
        shr     eax, 8
        mov     es:[bx + 0x1000], al
        loop    4b
        pop     si
        jmp     1b
3:      clc
        ret
operation_registers:
        .byte   0, 1, 2, 3, 5, 7, 8     # set/reset, enable, compare, rotate, mode, don't care, bit mask
operations:
        .byte   0x00, 0x00, 0x00, 0x00, 0x00, 0x0f, 0xff, 0x0f
        .byte   0x05, 0x03, 0x00, 0x03, 0x00, 0x0f, 0x3c, 0x0f
        .byte   0x0a, 0x0f, 0x00, 0x08, 0x00, 0x0f, 0xff, 0x0b
        .byte   0x0a, 0x06, 0x00, 0x12, 0x00, 0x0f, 0xf0, 0x0d
        .byte   0x00, 0x00, 0x00, 0x1d, 0x00, 0x0f, 0xaa, 0x07
        .byte   0x00, 0x00, 0x00, 0x00, 0x01, 0x0f, 0xff, 0x0f
        .byte   0x00, 0x00, 0x00, 0x00, 0x02, 0x0f, 0x7e, 0x0f
        .byte   0x00, 0x00, 0x00, 0x18, 0x02, 0x0f, 0xff, 0x0e
        .byte   0x09, 0x00, 0x00, 0x05, 0x03, 0x0f, 0xff, 0x0f
        .byte   0x06, 0x00, 0x00, 0x13, 0x03, 0x0f, 0x55, 0x0f
        .byte   0x00, 0x00, 0x06, 0x00, 0x08, 0x0b, 0xff, 0x0f
        .byte   0xff

bytes_13:
        mov     ax, 0x13
        int     0x10
        mov     ax, 0xa000
        mov     es, ax
        xor     di, di
        mov     cx, 64000
        call    fill
        call    colours
        clc
        ret

# 320 by 240, unchained, with another start address and a split screen.
bytes_x:
        mov     ax, 0x13
        int     0x10
        mov     dx, 0x3c2
        mov     al, 0xe3
        out     dx, al
        mov     si, offset 1f
        call    registers
        call    planes
        call    colours
        clc
        ret
1:      .word   0x3c4, 0x0604, 0x3d4, 0x0011, 0x3d4, 0x0d06, 0x3d4, 0x2e07, 0x3d4, 0x0109, 0x3d4, 0xea10
        .word   0x3d4, 0xac11, 0x3d4, 0xdf12, 0x3d4, 0x0014, 0x3d4, 0xe715, 0x3d4, 0x0616, 0x3d4, 0xe317
        .word   0x3d4, 0x120c, 0x3d4, 0x340d, 0x3d4, 0x8f18, 0

# ---------------------------------------------------------------------------------------------------------------------

# Finds the VBE mode of SI by DI pixels with BL bits. Its number is in CX then, its information at BUFFER:200h. Carry: none.
find:   mov     ax, BUFFER
        mov     es, ax
        mov     fs, ax
        mov     [wanted_bits], bl
        mov     [wanted_width], si
        mov     [wanted_height], di
        mov     dword ptr es:[0], 0x32454256   # "VBE2"
        mov     ax, 0x4f00
        xor     di, di
        int     0x10
        cmp     ax, 0x004f
        jne     8f
        lgs     si, fs:[0x0e]
1:      mov     cx, gs:[si]
        add     si, 2
        cmp     cx, 0xffff
        je      8f
        mov     ax, 0x4f01
        mov     di, 0x200
        int     0x10
        cmp     ax, 0x004f
        jne     1b
        mov     al, fs:[0x200 + 0x19]
        cmp     al, [wanted_bits]
        jne     1b
        mov     ax, fs:[0x200 + 0x12]
        cmp     ax, [wanted_width]
        jne     1b
        mov     ax, fs:[0x200 + 0x14]
        cmp     ax, [wanted_height]
        jne     1b
        cmp     byte ptr fs:[0x200 + 0x1b], 4  # packed pixels or direct colour
        jb      1b
        clc
        ret
8:      stc
        ret
wanted_bits:
        .byte   0
wanted_width:
        .word   0
wanted_height:
        .word   0

# Finds the mode and sets it, with the flags in DX.
enter:  push    dx
        call    find
        pop     dx
        jc      1f
        mov     bx, cx
        or      bx, dx
        mov     ax, 0x4f02
        int     0x10
        clc
1:      ret

# Shows bank DX in the window, by the VBE BIOS.
bank:   mov     ax, 0x4f05
        xor     bx, bx
        int     0x10
        ret

vbe_800_8:
        mov     si, 800
        mov     di, 600
        mov     bl, 8
        xor     dx, dx
        call    enter
        jc      2f
        mov     ax, 0x4f08              # a DAC of eight bits
        mov     bx, 0x0800
        int     0x10
        call    colours
        xor     dx, dx
1:      push    dx
        call    bank
        mov     ax, 0xa000
        mov     es, ax
        xor     di, di
        xor     cx, cx
        call    fill
        pop     dx
        inc     dx
        cmp     dx, 8
        jb      1b
        clc
2:      ret

# By the linear frame buffer, to which the BIOS copies (function 87h of interrupt 15h).
vbe_1024_16:
        mov     si, 1024
        mov     di, 768
        mov     bl, 16
        mov     dx, 0x4000
        call    enter
        jc      2f
        mov     eax, fs:[0x200 + 0x28]
        mov     [target], eax
        mov     cx, 256
1:      push    cx
        mov     ax, BUFFER + 0x100
        mov     es, ax
        xor     di, di
        mov     cx, 4096
        call    fill
        mov     eax, [target]
        mov     [gdt + 0x18 + 2], ax
        shr     eax, 16
        mov     [gdt + 0x18 + 4], al
        mov     [gdt + 0x18 + 7], ah
        add     dword ptr [target], 6000
        push    ds
        pop     es
        mov     si, offset gdt
        mov     ah, 0x87
        mov     cx, 2048
        int     0x15
        pop     cx
        loop    1b
        clc
2:      ret
target: .long   0
gdt:    .fill   16
        .word   0xffff, ((BUFFER + 0x100) << 4) & 0xffff, 0x9300 + ((BUFFER + 0x100) >> 12), 0
        .word   0xffff, 0, 0x9300, 0
        .fill   16

vbe_1280_24:
        mov     si, 1280
        mov     di, 1024
        mov     bl, 24
        mov     bp, 60
        jmp     banks

vbe_1920_32:
        mov     si, 1920
        mov     di, 1200
        mov     bl, 32
        mov     bp, 140
banks:  xor     dx, dx
        call    enter
        jc      2f
        xor     dx, dx
1:      push    dx
        call    bank
        call    stripe
        pop     dx
        inc     dx
        cmp     dx, bp
        jb      1b
        clc
2:      ret

# A part of the bank, somewhere in it.
stripe: mov     ax, 0xa000
        mov     es, ax
        call    random
        and     ax, 0xeffc
        mov     di, ax
        mov     cx, 4096
        jmp     fill

# By the registers of the Bochs VBE extension.
dispi_2560_32:
        mov     ax, 3
        int     0x10
        mov     si, offset 3f
        mov     dx, 0x1ce
1:      mov     ax, cs:[si]
        cmp     ax, 0xffff
        je      2f
        out     dx, ax
        inc     dx
        mov     ax, cs:[si + 2]
        out     dx, ax
        dec     dx
        add     si, 4
        jmp     1b
2:      xor     bx, bx
4:      mov     dx, 0x1ce
        mov     ax, 5                   # bank
        out     dx, ax
        inc     dx
        mov     ax, bx
        out     dx, ax
        call    stripe
        inc     bx
        cmp     bx, 250
        jb      4b
        clc
        ret
3:      .word   4, 0, 1, 2560, 2, 1600, 3, 32, 4, 0x41, 0xffff

        .org    (SECTORS + 1) * 512
