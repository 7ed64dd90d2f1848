# What is printed on the keys.

        .include "machine.inc"
        .include "keys.inc"

        .section .rodata

# By scan code, what a key types
        .globl  plain, shifted
plain:  .byte   0, 0
        .ascii  "1234567890-="
        .byte   0, 0
        .ascii  "qwertyuiop[]"
        .byte   0, 0
        .ascii  "asdfghjkl;'`"
        .byte   0
        .ascii  "\\zxcvbnm,./"
        .byte   0, 0, 0
        .ascii  " "
        .space  0x56 - (. - plain)
        .ascii  "\\"                    # the key beside the left shift that European boards have
shifted:
        .byte   0, 0
        .ascii  "!@#$%^&*()_+"
        .byte   0, 0
        .ascii  "QWERTYUIOP{}"
        .byte   0, 0
        .ascii  "ASDFGHJKL:\"~"
        .byte   0
        .ascii  "|ZXCVBNM<>?"
        .byte   0, 0, 0
        .ascii  " "
        .space  0x56 - (. - shifted)
        .ascii  "|"

        .macro  name key, text
        .long   \key, 7003f
        .section .rodata.names, "a"
7003:   .asciz  "\text"
        .section .rodata
        .endm

        .balign 4
# Key, name: those that type nothing, or nothing that can be seen
        .globl  key_names
key_names:
        name    0x01, "Esc"
        name    KEY_BACKSPACE, "Backspace"
        name    0x0f, "Tab"
        name    KEY_ENTER, "Enter"
        name    KEY_CTRL, "Left Ctrl"
        name    KEY_SHIFT_LEFT, "Left Shift"
        name    KEY_SHIFT_RIGHT, "Right Shift"
        name    0x37, "Keypad *"
        name    KEY_ALT, "Left Alt"
        name    0x39, "Space"
        name    KEY_CAPS_LOCK, "Caps Lock"
        name    0x3b, "F1"
        name    KEY_F2, "F2"
        name    0x3d, "F3"
        name    0x3e, "F4"
        name    0x3f, "F5"
        name    0x40, "F6"
        name    0x41, "F7"
        name    0x42, "F8"
        name    0x43, "F9"
        name    0x44, "F10"
        name    0x45, "Num Lock"
        name    0x46, "Scroll Lock"
        name    0x47, "Keypad 7"
        name    0x48, "Keypad 8"
        name    0x49, "Keypad 9"
        name    0x4a, "Keypad -"
        name    0x4b, "Keypad 4"
        name    0x4c, "Keypad 5"
        name    0x4d, "Keypad 6"
        name    0x4e, "Keypad +"
        name    0x4f, "Keypad 1"
        name    0x50, "Keypad 2"
        name    0x51, "Keypad 3"
        name    0x52, "Keypad 0"
        name    KEY_KEYPAD_DOT, "Keypad ."
        name    0x54, "SysRq"
        name    0x57, "F11"
        name    0x58, "F12"
        name    0x70, "Katakana"
        name    0x73, "Ro"
        name    0x79, "Henkan"
        name    0x7b, "Muhenkan"
        name    0x7d, "Yen"
        name    KEY_ENTER | EXTENDED, "Keypad Enter"
        name    KEY_CTRL | EXTENDED, "Right Ctrl"
        name    0x35 | EXTENDED, "Keypad /"
        name    0x37 | EXTENDED, "Print Screen"
        name    KEY_ALT | EXTENDED, "Right Alt"
        name    0x46 | EXTENDED, "Break"
        name    0x47 | EXTENDED, "Home"
        name    0x48 | EXTENDED, "Up"
        name    0x49 | EXTENDED, "Page Up"
        name    0x4b | EXTENDED, "Left"
        name    0x4d | EXTENDED, "Right"
        name    0x4f | EXTENDED, "End"
        name    0x50 | EXTENDED, "Down"
        name    0x51 | EXTENDED, "Page Down"
        name    0x52 | EXTENDED, "Insert"
        name    KEY_DELETE | EXTENDED, "Delete"
        name    0x5b | EXTENDED, "Left Super"
        name    0x5c | EXTENDED, "Right Super"
        name    0x5d | EXTENDED, "Menu"
        name    KEY_PAUSE, "Pause"
        .long   0
