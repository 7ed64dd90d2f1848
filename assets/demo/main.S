# What starts everything, and the loop.
#
# All work is done here, one thing after the other, with interrupts off. The handlers only note what came; they run
# while the loop waits, and nowhere else. So nothing here needs a lock, and nothing is drawn halfway when something
# else draws.

        .include "machine.inc"
        .include "layout.inc"

        .text
        .code32
        .globl  main
main:   cld
        mov     edi, offset bss_start
        mov     ecx, offset bss_end
        sub     ecx, edi
        shr     ecx, 2
        xor     eax, eax
        rep stosd
        call    serial_setup
        call    interrupts_setup

        call    surface_setup
        xor     eax, eax
        xor     edx, edx
        mov     esi, offset picture_screen
        mov     ecx, PICTURE_WIDTH
        mov     ebx, PICTURE_HEIGHT
        call    picture_draw
        line_begin
        line_text "welcome: picture "
        mov     eax, [screen_width]
        call    line_add_decimal
        line_text "x"
        mov     eax, [screen_height]
        call    line_add_decimal
        line_text "x32"
        call    serial_line

        call    computer_show
        call    power_setup
        call    input_setup
        call    keyboard_setup
        call    mouse_setup
        call    clock_setup
        say     "welcome: ready"
        mov     esi, offset chime
        call    speaker_play

forever:
        call    pointer_show            # if something was drawn where it is
        call    wait_for_interrupt
        call    input_poll
        call    clock_poll
        jmp     forever

        .section .rodata
# Two tones: the note's frequency, and ticks of the clock
chime:  .word   659, 8
        .word   988, 16
        .word   0
