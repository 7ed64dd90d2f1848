# The keyboard controller (Intel 8042, as IBM's PS/2 reference describes it) and the two devices behind it. Its bytes
# come by interrupt (interrupts.S); here it is set up, and each byte goes to whom it concerns.

        .include "machine.inc"

        # Commands to the controller
        .equ    READ_SETTINGS, 0x20
        .equ    WRITE_SETTINGS, 0x60
        .equ    DISABLE_MOUSE, 0xa7
        .equ    ENABLE_MOUSE, 0xa8
        .equ    DISABLE_KEYBOARD, 0xad
        .equ    ENABLE_KEYBOARD, 0xae
        .equ    TO_MOUSE, 0xd4

        # Its settings
        .equ    INTERRUPTS, 0x03
        .equ    CLOCKS_OFF, 0x30
        .equ    TRANSLATION, 0x40

        # Its status
        .equ    OUTPUT_FULL, 0x01
        .equ    INPUT_FULL, 0x02

        .equ    ACKNOWLEDGE, 0xfa

        # Commands to both devices
        .equ    SET_DEFAULTS, 0xf6
        .equ    ENABLE, 0xf4
        # and to the mouse
        .equ    SET_RATE, 0xf3
        .equ    IDENTIFY, 0xf2
        .equ    WITH_WHEEL, 3

        # Looks at the status before giving up: a tenth of a second on hardware, seconds where it is interpreted
        .equ    PATIENCE, 100000

        .text
        .code32

# Sets the controller and its devices up, and lets their interrupts through.
        .globl  input_setup
input_setup:
        mov     al, DISABLE_KEYBOARD
        call    command
        mov     al, DISABLE_MOUSE
        call    command
        call    discard
        mov     al, READ_SETTINGS
        call    command
        call    receive
        jnz     1f
        say     "welcome: no keyboard controller"
        ret
1:      and     al, ~(INTERRUPTS | CLOCKS_OFF) & 0xff
        or      al, TRANSLATION         # to set 1, whatever the keyboard speaks
        mov     [settings], al
        call    write_settings
        mov     al, ENABLE_KEYBOARD
        call    command
        mov     al, SET_DEFAULTS
        call    keyboard_send
        mov     al, ENABLE
        call    keyboard_send
        jz      2f
        say     "welcome: no keyboard"
2:      mov     al, ENABLE_MOUSE
        call    command
        call    knock
        or      byte ptr [settings], INTERRUPTS
        # fall through
write_settings:
        mov     al, WRITE_SETTINGS
        call    command
        mov     al, [settings]
        jmp     send

# Finds out what mouse there is. Three sample rates in this order make Microsoft's IntelliMouse show its wheel, and
# answer with another identifier than a plain mouse.
knock:  mov     esi, offset mouse_commands
1:      lodsb
        test    al, al
        jz      2f
        call    mouse_send
        jz      1b
        say     "welcome: no mouse"
        ret
2:      mov     al, IDENTIFY
        call    mouse_send
        call    receive
        cmp     al, WITH_WHEEL
        sete    [mouse_has_wheel]
        mov     al, ENABLE
        call    mouse_send
        cmp     byte ptr [mouse_has_wheel], 0
        je      3f
        say     "welcome: mouse with a wheel"
        ret
3:      say     "welcome: mouse"
        ret

# Gives the keyboard or the mouse a byte.
# In: AL
# Out: zero flag set if it was acknowledged
mouse_send:
        push    eax
        mov     al, TO_MOUSE
        call    command
        pop     eax
keyboard_send:
        call    send
        call    receive
        cmp     al, ACKNOWLEDGE
        ret

# Writes a byte to the controller, once it takes one. In: AL. Keeps everything.
command:
        call    until_empty
        out     KBC_STATUS, al
        ret
send:   call    until_empty
        out     KBC_DATA, al
        ret

until_empty:
        push    eax
        push    ecx
        mov     ecx, PATIENCE
1:      in      al, KBC_STATUS
        test    al, INPUT_FULL
        loopnz  1b
        pop     ecx
        pop     eax
        ret

# Reads the next byte, or gives up.
# Out: zero flag clear, AL byte; or zero flag set, AL zero
receive:
        push    ecx
        mov     ecx, PATIENCE
1:      in      al, KBC_STATUS
        test    al, OUTPUT_FULL
        loopz   1b
        mov     al, 0
        jz      2f
        in      al, KBC_DATA
2:      pop     ecx
        ret

# Throws away what nobody has read.
discard:
        mov     ecx, 32
1:      in      al, KBC_STATUS
        test    al, OUTPUT_FULL
        jz      2f
        in      al, KBC_DATA
        loop    1b
2:      ret

# Hands on what has come.
        .globl  input_poll
input_poll:
        call    ring_take
        jz      2f
        test    ah, ah
        jnz     1f
        call    keyboard_byte
        jmp     input_poll
1:      call    mouse_byte
        jmp     input_poll
2:      jmp     mouse_flush

        .section .rodata
mouse_commands:
        .byte   SET_DEFAULTS, SET_RATE, 200, SET_RATE, 100, SET_RATE, 80, 0

        .bss
settings:
        .space  1
        .globl  mouse_has_wheel
mouse_has_wheel:
        .space  1
