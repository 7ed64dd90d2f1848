# COM1 (National Semiconductor 16550D). The boot sector has set it up.

        .include "machine.inc"

        .equ    INTERRUPT_IDENTIFICATION, COM1 + 2
        .equ    FIFOS_ENABLED, 0xc0
        .equ    LINE_STATUS, COM1 + 5
        .equ    TRANSMITTER_EMPTY, 0x20

        .text
        .code32

# Finds out how many bytes it takes at once.
        .globl  serial_setup
serial_setup:
        mov     byte ptr [burst], 1
        mov     edx, INTERRUPT_IDENTIFICATION
        in      al, dx
        and     al, FIFOS_ENABLED
        cmp     al, FIFOS_ENABLED
        jne     1f
        mov     byte ptr [burst], 16
1:      ret

# Writes the line (text.S) and ends it.
        .globl  serial_line
serial_line:
        pushad
        mov     esi, offset line_buffer
        mov     edi, [line_end]
        mov     word ptr [edi], 0x0a0d  # the buffer has room for it, and for the zero
        mov     byte ptr [edi + 2], 0
        add     edi, 2
1:      mov     edx, LINE_STATUS
        mov     ecx, 100000             # a port that takes nothing must not stop us
2:      in      al, dx
        test    al, TRANSMITTER_EMPTY
        loopz   2b
        mov     edx, COM1
        movzx   ecx, byte ptr [burst]
3:      mov     al, [esi]
        inc     esi
        out     dx, al
        cmp     esi, edi
        je      4f
        loop    3b
        jmp     1b
4:      mov     edi, [line_end]         # without its end, for whoever draws it as well
        mov     byte ptr [edi], 0
        popad
        ret

        .bss
burst:  .space  1
