# From the BIOS's world into ours: address line 20 on, 32-bit protected mode with flat segments and without paging. The
# BIOS isn't called any more afterwards.

        .include "machine.inc"

        .section .real, "ax"
        .code16

        .globl  loaded
loaded: call    memory_size
        call    a20_setup
        call    video_setup
        cli
        lgdt    [descriptors_pointer]
        mov     eax, cr0
        or      al, 1
        mov     cr0, eax
        ljmp    CODE32, offset protected

# Asks how much memory there is: int 15h, AX = E801h gives KiB up to 16 MiB and 64 KiB units above.
memory_size:
        xor     cx, cx
        xor     dx, dx
        mov     ax, 0xe801
        int     0x15
        jc      2f
        test    cx, cx                  # some give the answer in these two, some in AX and BX
        jnz     1f
        mov     cx, ax
        mov     dx, bx
1:      movzx   eax, cx
        shr     eax, 10
        movzx   ebx, dx                 # rounded up: the firmware keeps a little of it
        add     ebx, 15
        shr     ebx, 4
        lea     eax, [eax + ebx + 1]    # and the first MiB
        mov     [memory_mib], eax
2:      ret

# Address line 20 may be held low as on the first PCs, so that 1 MiB and up is 0 and up. There are three ways to release
# it, and which one works depends on the machine; mostly the firmware has done it already.
a20_setup:
        call    a20_is_on
        jnz     3f
        mov     ax, 0x2401              # ask the BIOS
        int     0x15
        call    a20_is_on
        jnz     3f
        in      al, 0x92                # system control port A, without its reset in bit 0
        or      al, 2
        and     al, 0xfe
        out     0x92, al
        call    a20_is_on
        jnz     3f
        mov     al, 0xd1                # the keyboard controller's output port
        call    kbc_write_command
        call    kbc_wait
        mov     al, 0xdf
        out     KBC_DATA, al
        call    kbc_wait
        mov     cx, 0xffff
1:      call    a20_is_on
        jnz     3f
        loop    1b
        mov     si, offset a20_text
        jmp     give_up
3:      ret

kbc_write_command:
        call    kbc_wait
        out     KBC_STATUS, al
        ret

# Until the controller takes a byte. Keeps AX.
kbc_wait:
        push    ax
        push    cx
        mov     cx, 0xffff
1:      in      al, KBC_STATUS
        test    al, 2
        loopnz  1b
        pop     cx
        pop     ax
        ret

# Is a byte just above 1 MiB another than the one that it would be without the line?
# Out: zero flag clear if so. Changes AX.
a20_is_on:
        push    ds
        mov     ax, 0xffff
        mov     ds, ax
        mov     ax, [BOOT + 510 + 16]   # FFFF:7E0E is 107DFEh; 7DFEh is the boot sector's signature
        cmp     ax, cs:[BOOT + 510]
        jne     1f
        # It may be the same by chance: then a change of the one changes the other, or not
        not     word ptr cs:[BOOT + 510]
        mov     ax, [BOOT + 510 + 16]
        cmp     ax, cs:[BOOT + 510]
        pushf
        not     word ptr cs:[BOOT + 510]
        popf
1:      pop     ds
        ret

a20_text:
        .asciz  "welcome: address line 20 stays low\r\n"

        .balign 8
descriptors:
        .quad   0
        .quad   0x00cf9b000000ffff      # code, 4 GiB; "accessed" already, so that the table is never written
        .quad   0x00cf93000000ffff      # data, 4 GiB
descriptors_pointer:
        .word   . - descriptors - 1
        .long   descriptors

        .balign 4
        .globl  memory_mib
memory_mib:
        .long   0

        .text
        .code32
protected:
        mov     ax, DATA32
        mov     ds, ax
        mov     es, ax
        mov     ss, ax
        mov     fs, ax
        mov     gs, ax
        mov     esp, STACK_TOP
        jmp     main
