# The mouse (IBM's PS/2 reference, "Auxiliary device"): packets of three bytes, or four with a wheel.

        .include "machine.inc"
        .include "layout.inc"

        # A packet's first byte
        .equ    BUTTONS, 0x07           # left, right, middle
        .equ    ALWAYS_ONE, 0x08
        .equ    X_NEGATIVE, 0x10
        .equ    Y_NEGATIVE, 0x20
        .equ    OVERFLOWS, 0xc0

        .equ    LEFT, 1
        .equ    RIGHT, 2
        .equ    MIDDLE, 4

        # Ticks after which a packet's rest doesn't come any more: half a second
        .equ    PACKET_TICKS, 25

        .text
        .code32

        .globl  mouse_setup
mouse_setup:
        mov     byte ptr [packet_length], 3
        cmp     byte ptr [mouse_has_wheel], 0
        je      1f
        mov     byte ptr [packet_length], 4
1:      call    position_show
        jmp     wheel_show

# A byte from the mouse.
# In: AL
        .globl  mouse_byte
mouse_byte:
        mov     ecx, [packet_bytes]
        mov     edx, [ticks]
        test    ecx, ecx
        jz      1f
        mov     ebx, edx
        sub     ebx, [packet_begun]
        cmp     ebx, PACKET_TICKS
        jbe     2f
        xor     ecx, ecx                # the rest of that one was lost
1:      test    al, ALWAYS_ONE          # if it isn't, this is no first byte
        jz      3f
        mov     [packet_begun], edx
2:      mov     [packet + ecx], al
        inc     ecx
        cmp     cl, [packet_length]
        jb      3f
        call    packet_complete
        xor     ecx, ecx
3:      mov     [packet_bytes], ecx
        ret

packet_complete:
        mov     al, [packet]
        test    al, OVERFLOWS           # then the movement is wrong
        jnz     1f
        movzx   ecx, byte ptr [packet + 1]
        test    al, X_NEGATIVE
        jz      2f
        sub     ecx, 256
2:      movzx   edx, byte ptr [packet + 2]
        test    al, Y_NEGATIVE
        jz      3f
        sub     edx, 256
3:      neg     edx                     # its upwards is our downwards
        call    move
1:      mov     al, [packet]
        and     eax, BUTTONS
        cmp     eax, [buttons]
        je      4f
        call    mouse_flush             # what came before doesn't happen with these buttons
        call    buttons_change
4:      cmp     byte ptr [packet_length], 4
        jb      5f
        movsx   eax, byte ptr [packet + 3]
        test    eax, eax
        jz      5f
        add     [wheel], eax
        line_begin
        line_text "wheel "
        mov     eax, [wheel]
        call    line_add_signed
        call    serial_line
        call    wheel_show
5:      ret

# Moves the place, within the picture. It is shown by mouse_flush, when no more packets wait.
# In: ECX to the right, EDX down
move:   mov     ebx, ecx
        or      ebx, edx
        jz      5f
        add     ecx, [x]
        jns     1f
        xor     ecx, ecx
1:      cmp     ecx, PICTURE_WIDTH
        jb      2f
        mov     ecx, PICTURE_WIDTH - 1
2:      mov     [x], ecx
        add     edx, [y]
        jns     3f
        xor     edx, edx
3:      cmp     edx, PICTURE_HEIGHT
        jb      4f
        mov     edx, PICTURE_HEIGHT - 1
4:      mov     [y], edx
        mov     byte ptr [has_moved], 1
5:      ret

# Shows where the mouse is, if it has moved. Keeps everything.
        .globl  mouse_flush
mouse_flush:
        cmp     byte ptr [has_moved], 0
        je      1f
        mov     byte ptr [has_moved], 0
        pushad
        call    pointer_hide
        mov     eax, [x]
        mov     [pointer_x], eax
        mov     eax, [y]
        mov     [pointer_y], eax
        call    pointer_show            # it first: that is what a hand feels
        call    pointer_say
        call    position_show
        popad
1:      ret

# In: EAX the buttons that are pressed now
buttons_change:
        mov     edx, [buttons]
        mov     [buttons], eax
        not     edx
        and     edx, eax
        push    edx                     # pressed just now
        call    pointer_say
        call    lamps_show
        pop     edx
        test    edx, LEFT
        jz      1f
        mov     eax, [x]
        sub     eax, BEEP_X
        cmp     eax, BEEP_WIDTH
        jae     1f
        mov     eax, [y]
        sub     eax, BEEP_Y
        cmp     eax, BEEP_HEIGHT
        jae     1f
        jmp     speaker_beep
1:      ret

pointer_say:
        line_begin
        line_text "pointer "
        mov     eax, [x]
        call    line_add_decimal
        line_text " "
        mov     eax, [y]
        call    line_add_decimal
        line_text " buttons "
        mov     eax, [buttons]
        call    line_add_decimal
        jmp     serial_line

position_show:
        line_begin
        mov     eax, [x]
        call    line_add_decimal
        line_text ", "
        mov     eax, [y]
        call    line_add_decimal
        mov     eax, POSITION_X
        mov     edx, POSITION_Y
        jmp     value

wheel_show:
        line_begin
        cmp     byte ptr [mouse_has_wheel], 0
        jne     1f
        line_text "none"
        jmp     2f
1:      mov     eax, [wheel]
        call    line_add_signed
2:      mov     eax, WHEEL_X
        mov     edx, WHEEL_Y
        # fall through

# In: EAX, EDX where the line is shown
value:  mov     ecx, MOUSE_VALUE_WIDTH
        mov     ebp, offset style_bright
        jmp     text_field

# Lights the lamps of the buttons that are pressed.
lamps_show:
        mov     edi, offset lamps
        mov     eax, LAMPS_X
1:      mov     ecx, [edi]              # button, dark picture, lit picture
        jecxz   3f
        mov     esi, [edi + 4]
        test    [buttons], ecx
        jz      2f
        mov     esi, [edi + 8]
2:      mov     edx, LAMPS_Y
        mov     ecx, LAMP_WIDTH
        mov     ebx, LAMP_HEIGHT
        call    picture_draw
        add     eax, LAMP_PITCH
        add     edi, 12
        jmp     1b
3:      ret

        .section .rodata
        .balign 4
lamps:  .long   LEFT, picture_left_off, picture_left_on
        .long   MIDDLE, picture_middle_off, picture_middle_on
        .long   RIGHT, picture_right_off, picture_right_on
        .long   0

        .data
        .balign 4
x:      .long   PICTURE_WIDTH / 2
y:      .long   PICTURE_HEIGHT / 2

        .bss
        .balign 4
buttons:
        .space  4
wheel:  .space  4
packet_bytes:
        .space  4
packet_begun:
        .space  4
packet: .space  4
packet_length:
        .space  1
has_moved:
        .space  1
