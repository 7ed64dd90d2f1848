# Asks the video BIOS for a mode with a linear frame buffer (VESA BIOS Extension, Core Functions 3.0: functions 4F00h to
# 4F02h). The number of a mode is the adapter's own matter, so the list is searched for what is wanted.

        .include "machine.inc"

        # Mode information, in its order
        .equ    MODE_ATTRIBUTES, 0
        .equ    MODE_PITCH, 16
        .equ    MODE_WIDTH, 18
        .equ    MODE_HEIGHT, 20
        .equ    MODE_BITS, 25
        .equ    MODE_MODEL, 27
        .equ    MODE_RED_AT, 32
        .equ    MODE_GREEN_AT, 34
        .equ    MODE_BLUE_AT, 36
        .equ    MODE_FRAME_BUFFER, 40
        .equ    MODE_LINEAR_PITCH, 50

        # Supported, colour, graphics, linear frame buffer
        .equ    WANTED_ATTRIBUTES, 0x99
        .equ    DIRECT_COLOUR, 6
        .equ    LINEAR, 0x4000

        .section .real, "ax"
        .code16

# Sets the best mode there is. Does not return without one.
        .globl  video_setup
video_setup:
        mov     dword ptr [VBE_INFO], 0x32454256        # "VBE2": as much as there is to know
        mov     di, VBE_INFO
        mov     ax, 0x4f00
        int     0x10
        cmp     ax, 0x004f
        jne     no_mode
        cmp     dword ptr [VBE_INFO], 0x41534556        # "VESA"
        jne     no_mode
        mov     bp, offset sizes
next_size:
        cmp     word ptr [bp], 0
        je      no_mode
        lfs     si, [VBE_INFO + 14]     # the list of modes
next_mode:
        mov     cx, fs:[si]
        add     si, 2
        cmp     cx, 0xffff
        je      2f
        mov     [mode], cx
        call    is_wanted
        jne     next_mode
        mov     bx, [mode]
        or      bx, LINEAR
        mov     ax, 0x4f02
        int     0x10
        cmp     ax, 0x004f
        jne     next_mode               # it was promised, but there may be another
        jmp     mode_set
2:      add     bp, 4
        jmp     next_size

no_mode:
        mov     si, offset no_mode_text
        jmp     give_up

# Is the mode CX of the size at BP, and can be drawn in? Keeps SI, BP.
# Out: zero flag
is_wanted:
        push    si
        mov     di, VBE_MODE
        mov     ax, 0x4f01
        int     0x10
        pop     si
        cmp     ax, 0x004f
        jne     1f
        mov     al, [VBE_MODE + MODE_ATTRIBUTES]
        and     al, WANTED_ATTRIBUTES
        cmp     al, WANTED_ATTRIBUTES
        jne     1f
        cmp     byte ptr [VBE_MODE + MODE_BITS], 32
        jne     1f
        cmp     byte ptr [VBE_MODE + MODE_MODEL], DIRECT_COLOUR
        jne     1f
        cmp     byte ptr [VBE_MODE + MODE_RED_AT], 16
        jne     1f
        cmp     byte ptr [VBE_MODE + MODE_GREEN_AT], 8
        jne     1f
        cmp     byte ptr [VBE_MODE + MODE_BLUE_AT], 0
        jne     1f
        mov     eax, [VBE_MODE + MODE_WIDTH]            # and the height
        cmp     eax, [bp]
1:      ret

# Keeps what drawing must know.
mode_set:
        movzx   eax, word ptr [VBE_MODE + MODE_WIDTH]
        mov     [screen_width], eax
        movzx   eax, word ptr [VBE_MODE + MODE_HEIGHT]
        mov     [screen_height], eax
        mov     eax, [VBE_MODE + MODE_FRAME_BUFFER]
        mov     [frame_buffer], eax
        movzx   eax, word ptr [VBE_MODE + MODE_PITCH]
        cmp     word ptr [VBE_INFO + 4], 0x0300         # since this version linear modes may have another
        jb      1f
        movzx   ebx, word ptr [VBE_MODE + MODE_LINEAR_PITCH]
        test    ebx, ebx
        jz      1f
        mov     eax, ebx
1:      mov     [frame_pitch], eax
        ret

# Width and height, the best first
sizes:  .word   1024, 768
        .word   800, 600
        .word   0
mode:   .word   0
no_mode_text:
        .ascii  "welcome: no picture: the graphics adapter has neither 1024 x 768 nor 800 x 600"
        .asciz  " with 32 bits a pixel\r\n"

        .balign 4
        .globl  screen_width, screen_height, frame_buffer, frame_pitch
screen_width:
        .long   0
screen_height:
        .long   0
# Its address, and the bytes from one row to the next
frame_buffer:
        .long   0
frame_pitch:
        .long   0
