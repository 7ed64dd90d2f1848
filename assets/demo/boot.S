# Welcome: the guest that a newcomer to Tandem sees first. It needs a PC with a BIOS, a VESA graphics adapter with a
# linear frame buffer, and 32 MiB of memory; no operating system, no floating point, no paging.
#
# The parts, in the order in which they run:
#
#   boot.S       the boot sector: loads the rest
#   video.S      asks the video BIOS for a mode
#   enter.S      address line 20, the memory's size, 32-bit mode
#   main.S       what starts everything, and the loop that waits for something to happen
#   interrupts.S the 8259s, the handlers, faults
#   serial.S     COM1
#   text.S       lines of text, for COM1 and on the screen
#   picture.S    unpacks pictures, fills rectangles
#   pointer.S    the arrow
#   computer.S   the card that says what computer this is
#   clock.S      the interval timer and the real-time clock
#   speaker.S    tones
#   input.S      the keyboard controller
#   keyboard.S   keys, and the text that is typed
#   keys.S       their names and characters
#   mouse.S      the mouse
#   power.S      off and reset
#   art.S        the data that the build paints
#
# COM1 (115200 8N1) says what happens, a line each, so that a program can follow. Numbers are decimal but for scan
# codes, which are hexadecimal:
#
#   welcome: loading N KiB           the boot sector runs
#   welcome: picture WxHx32          the picture is up; W and H are the screen's
#   welcome: ready                   keys and the mouse are listened to
#   welcome: TEXT                    anything else that happens at the start, or goes wrong
#   key down 1e A, key up 1e A       the scan code (set 1; "e0 4d" with its prefix) and the key's name
#   line TEXT                        what had been typed when Enter was pressed
#   pointer X Y buttons B            pixels of the picture, which is 1024 x 768 always; 1 left, 2 right, 4 middle
#   wheel N                          its turns since the start, towards the person counted as positive
#   beep HZ                          a tone begins
#   tick N                           N seconds have passed since "ready"
#   power button, off                the button was pressed, and the machine goes off
#   reset                            Ctrl, Alt and Del were pressed
#   fault N at ADDRESS               the processor found a mistake of ours; nothing goes on

# The boot sector. Firmware puts it at 7C00h, with the number of the disk in DL. It reads the rest of the image, which
# follows it on the disk, to behind itself by the extended services of int 13h; every BIOS that knows large disks has
# those, so there is no other way here.

        .include "machine.inc"

        .section .boot, "ax"
        .code16
        .globl  boot
boot:   cli
        xor     ax, ax
        mov     ds, ax
        mov     es, ax
        mov     ss, ax
        mov     sp, STACK_TOP
        ljmp    0, offset here          # some firmware comes from 07C0:0000
here:   sti
        cld
        mov     [drive], dl
        call    serial_setup
        mov     si, offset loading
        call    print
        mov     ax, offset image_sectors
        shr     ax, 1
        call    print_number
        mov     si, offset kib
        call    print

        mov     ah, 0x41                # are the extended services there?
        mov     bx, 0x55aa
        mov     dl, [drive]
        int     0x13
        jc      fail
        cmp     bx, 0xaa55
        jne     fail
        mov     cx, offset image_sectors
        dec     cx                      # this one is here
read:   mov     ax, cx
        cmp     ax, 64                  # half of what a segment holds
        jbe     1f
        mov     ax, 64
1:      mov     [packet_count], ax
        push    cx
        push    ax
        mov     ah, 0x42
        mov     dl, [drive]
        mov     si, offset packet
        int     0x13
        pop     ax
        pop     cx
        jc      fail
        add     [packet_sector], ax
        mov     bx, ax
        shl     bx, 5                   # 32 paragraphs a sector
        add     [packet_segment], bx
        sub     cx, ax
        jnz     read
        jmp     loaded                  # enter.S

fail:   mov     si, offset cant_read
        # fall through

# Says why it doesn't go on, on the screen too, and stands still. Ctrl, Alt and Del still restart.
# In: SI text
        .globl  give_up
give_up:
        push    si
        call    print
        pop     si
1:      lodsb
        test    al, al
        jz      2f
        mov     ah, 0x0e
        mov     bx, 7
        int     0x10
        jmp     1b
2:      sti
        hlt
        jmp     2b

# COM1: 115200 baud, 8 data bits, no parity, one stop bit, no interrupts.
serial_setup:
        mov     si, offset serial_settings
        mov     cx, 7
1:      lodsw                           # register, value
        movzx   dx, al
        add     dx, COM1
        mov     al, ah
        out     dx, al
        loop    1b
        ret

# Writes a text to COM1.
# In: SI text. Changes AX, CX, DX, SI.
        .globl  print
print:  lodsb
        test    al, al
        jz      2f
        call    print_character
        jmp     print
2:      ret

# In: AL character. Changes AX, CX, DX.
print_character:
        mov     ah, al
        mov     dx, COM1 + 5
        xor     cx, cx                  # a port that isn't there must not stop us
1:      in      al, dx
        test    al, 0x20                # transmitter holding register empty
        loopz   1b
        mov     al, ah
        mov     dx, COM1
        out     dx, al
        ret

# Writes a number to COM1.
# In: AX. Changes AX, BX, CX, DX.
        .globl  print_number
print_number:
        xor     dx, dx
        mov     bx, 10
        div     bx
        push    dx
        test    ax, ax
        jz      1f
        call    print_number
1:      pop     ax
        add     al, '0'
        jmp     print_character

serial_settings:
        .byte   3, 0x80                 # to the divisor
        .byte   0, 1
        .byte   1, 0
        .byte   3, 0x03                 # 8N1
        .byte   1, 0                    # no interrupts
        .byte   2, 0x07                 # both FIFOs on and empty
        .byte   4, 0x03                 # DTR, RTS

        .balign 4
packet: .byte   16, 0                   # its size
packet_count:
        .word   0
        .word   0                       # where to: offset, segment
packet_segment:
        .word   (BOOT + 512) >> 4
packet_sector:
        .quad   1

drive:  .byte   0
loading:
        .asciz  "welcome: loading "
kib:    .asciz  " KiB\r\n"
cant_read:
        .asciz  "welcome: this disk can't be read\r\n"

        # From here on a partition table may be: there is none, and no BIOS shall find one.
        .org    446
        .fill   64, 1, 0
        .byte   0x55, 0xaa
