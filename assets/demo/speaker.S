# Tones: counter 2 of the interval timer (Intel 8254) makes a square wave, port 61h lets it through to the speaker. A
# tone ends by a tick of the clock, so nothing waits for it.

        .include "machine.inc"
        .include "layout.inc"

        .equ    PIT_HERTZ, 1193182
        .equ    COUNTER_2_MODE_3, 0xb6
        .equ    GATE_AND_SPEAKER, 0x03

        .text
        .code32

# Beeps for 200 ms.
        .globl  speaker_beep
speaker_beep:
        mov     esi, offset beep
        # fall through

# Plays tones, instead of what is being played.
# In: ESI list: frequency in hertz and length in ticks, 16 bits each; a zero ends it
        .globl  speaker_play
speaker_play:
        pushad
        mov     [tones], esi
        call    next_tone
        popad
        ret

# To be called at each tick.
        .globl  speaker_tick
speaker_tick:
        cmp     dword ptr [ticks_left], 0
        je      1f
        dec     dword ptr [ticks_left]
        jz      next_tone
1:      ret

next_tone:
        mov     esi, [tones]
        movzx   ebx, word ptr [esi]
        test    ebx, ebx
        jz      silence
        movzx   eax, word ptr [esi + 2]
        mov     [ticks_left], eax
        add     esi, 4
        mov     [tones], esi
        mov     al, COUNTER_2_MODE_3
        out     PIT + 3, al
        mov     eax, PIT_HERTZ
        xor     edx, edx
        div     ebx
        out     PIT + 2, al
        mov     al, ah
        out     PIT + 2, al
        in      al, PORT_B
        or      al, GATE_AND_SPEAKER
        out     PORT_B, al
        line_begin
        line_text "beep "
        mov     eax, ebx
        call    line_add_decimal
        call    serial_line
        mov     esi, offset picture_beep_on
        jmp     show

silence:
        mov     [ticks_left], ebx
        in      al, PORT_B
        and     al, ~GATE_AND_SPEAKER & 0xff
        out     PORT_B, al
        mov     esi, offset picture_beep_off
        # fall through

# Shows the button as one that sounds, or not.
show:   cmp     esi, [button_shown]
        je      1f
        mov     [button_shown], esi
        mov     eax, BEEP_X
        mov     edx, BEEP_Y
        mov     ecx, BEEP_WIDTH
        mov     ebx, BEEP_HEIGHT
        jmp     picture_draw
1:      ret

        .section .rodata
beep:   .word   880, 10
        .word   0

        .bss
        .balign 4
# What comes next
tones:  .space  4
# Of the tone that is being played; zero is silence
ticks_left:
        .space  4
button_shown:
        .space  4
