# Keys: scan codes of set 1 to names and, on the board of the United States, to characters; and the box that shows what
# is typed.

        .include "machine.inc"
        .include "layout.inc"
        .include "keys.inc"

        .equ    RELEASED, 0x80
        .equ    PREFIX, 0xe0
        .equ    PAUSE_PREFIX, 0xe1

        .equ    TYPED_LENGTH, 200
        .equ    CARET_WIDTH, 2
        .equ    CARET_TICKS, 25         # half a second

        # Keys that are held
        .equ    SHIFT_LEFT, 1
        .equ    SHIFT_RIGHT, 2
        .equ    CTRL_LEFT, 4
        .equ    CTRL_RIGHT, 8
        .equ    ALT_LEFT, 16
        .equ    ALT_RIGHT, 32
        .equ    SHIFTS, SHIFT_LEFT | SHIFT_RIGHT
        .equ    CTRLS, CTRL_LEFT | CTRL_RIGHT
        .equ    ALTS, ALT_LEFT | ALT_RIGHT

        .text
        .code32

        .globl  keyboard_setup
keyboard_setup:
        jmp     typed_show

# A byte from the keyboard.
# In: AL
        .globl  keyboard_byte
keyboard_byte:
        cmp     byte ptr [pause_left], 0
        jne     in_pause
        cmp     al, PAUSE_PREFIX
        je      pause_begins
        cmp     al, PREFIX
        je      prefix_comes
        mov     dl, [prefix]
        mov     byte ptr [prefix], 0
        test    al, al                  # too many keys at once
        je      1f
        cmp     al, 0xee                # answers, errors
        jae     1f
        mov     bl, al
        and     ebx, ~RELEASED & 0xff
        test    dl, dl
        jz      key
        cmp     bl, KEY_SHIFT_LEFT      # around some keys with a prefix there are shifts that nobody has pressed
        je      1f
        cmp     bl, KEY_SHIFT_RIGHT
        je      1f
        or      ebx, EXTENDED
        jmp     key
1:      ret

prefix_comes:
        mov     [prefix], al
        ret

# Pause is the one key with two bytes behind its prefix.
pause_begins:
        mov     byte ptr [pause_left], 2
        ret
in_pause:
        dec     byte ptr [pause_left]
        jnz     1f
        mov     ebx, KEY_PAUSE
        jmp     key
1:      ret

# A key was pressed or released.
# In: EBX key, AL the byte, whose highest bit says which
key:    test    al, RELEASED
        setz    [is_down]
        call    note_modifier
        call    act
        call    key_say
        jmp     key_show

# Keeps account of the keys that change others.
note_modifier:
        mov     esi, offset modifiers
1:      mov     ecx, [esi]              # key, bit
        jecxz   3f
        add     esi, 8
        cmp     ecx, ebx
        jne     1b
        mov     ecx, [esi - 4]
        or      [held], ecx
        cmp     byte ptr [is_down], 0
        jne     3f
        not     ecx
        and     [held], ecx
3:      ret

# Does what a key does. In: EBX. Keeps it.
act:    cmp     byte ptr [is_down], 0
        je      1f
        cmp     ebx, KEY_F2
        je      do_beep
        cmp     ebx, KEY_BACKSPACE
        je      typed_shorten
        cmp     ebx, KEY_ENTER
        je      do_enter
        cmp     ebx, KEY_ENTER | EXTENDED
        je      do_enter
        cmp     ebx, KEY_CAPS_LOCK
        je      do_caps_lock
        cmp     ebx, KEY_DELETE | EXTENDED
        je      do_delete
        cmp     ebx, KEY_KEYPAD_DOT
        je      do_delete
        test    dword ptr [held], CTRLS | ALTS
        jnz     1f
        call    character_of
        jnz     typed_add
1:      ret

do_beep:
        push    ebx
        call    speaker_beep
        pop     ebx
        ret

do_enter:
        push    ebx
        line_begin
        line_text "line "
        mov     esi, offset typed
        call    line_add
        call    serial_line
        line_begin
        mov     esi, offset typed
        call    line_add
        mov     eax, LINE_X
        mov     edx, LINE_Y
        mov     ebp, offset style_muted
        call    value
        mov     dword ptr [typed_length], 0
        mov     byte ptr [typed], 0
        call    typed_show
        pop     ebx
        ret

do_caps_lock:
        xor     byte ptr [caps_lock], 1
        ret

do_delete:
        test    dword ptr [held], CTRLS
        jz      1f
        test    dword ptr [held], ALTS
        jnz     power_reset
1:      ret

# The character that a key types.
# In: EBX
# Out: zero flag clear, AL character; or zero flag set
character_of:
        cmp     ebx, CHARACTERS
        jae     2f
        mov     al, [plain + ebx]
        test    dword ptr [held], SHIFTS
        jz      1f
        mov     al, [shifted + ebx]
1:      cmp     byte ptr [caps_lock], 0
        je      3f
        mov     ah, al
        or      ah, 0x20
        sub     ah, 'a'
        cmp     ah, 'z' - 'a'
        ja      3f
        xor     al, 0x20
        jmp     3f
2:      xor     eax, eax
3:      test    al, al
        ret

# Writes to COM1 what happened to a key. In: EBX. Keeps it.
key_say:
        line_begin
        line_text "key "
        cmp     byte ptr [is_down], 0
        je      1f
        line_text "down "
        jmp     2f
1:      line_text "up "
2:      call    add_code
        line_text " "
        call    add_name
        jmp     serial_line

# Shows it. In: EBX
key_show:
        line_begin
        call    add_name
        mov     eax, KEY_X
        mov     edx, KEY_Y
        mov     ebp, offset style_accent
        cmp     byte ptr [is_down], 0
        jne     1f
        mov     ebp, offset style_bright
1:      call    value
        line_begin
        call    add_code
        cmp     byte ptr [is_down], 0
        je      2f
        line_text ", pressed"
        jmp     3f
2:      line_text ", released"
3:      mov     eax, CODE_X
        mov     edx, CODE_Y
        mov     ebp, offset style_bright
        # fall through

# In: EAX, EDX where the line is shown; EBP colours
value:  mov     ecx, KEYBOARD_VALUE_WIDTH
        jmp     text_field

# Adds the code as it came. In: EBX
add_code:
        cmp     ebx, KEY_PAUSE
        je      2f
        test    ebx, EXTENDED
        jz      1f
        line_text "e0 "
1:      mov     al, bl
        jmp     line_add_hex8
2:      line_text "e1"
        ret

# Adds the name that is printed on the key. In: EBX
add_name:
        mov     esi, offset key_names
1:      mov     eax, [esi]              # key, name
        test    eax, eax
        jz      2f
        add     esi, 8
        cmp     eax, ebx
        jne     1b
        mov     esi, [esi - 4]
        jmp     line_add
2:      cmp     ebx, CHARACTERS
        jae     3f
        mov     al, [plain + ebx]
        test    al, al
        jz      3f
        cmp     al, 'a'
        jb      line_add_character
        cmp     al, 'z'
        ja      line_add_character
        sub     al, 0x20                # as keys are printed
        jmp     line_add_character
3:      text_at esi, "unknown"
        jmp     line_add

# Adds a character to what was typed. In: AL. Keeps EBX.
typed_add:
        mov     ecx, [typed_length]
        cmp     ecx, TYPED_LENGTH
        jae     1f
        mov     ah, 0
        mov     [typed + ecx], ax       # with a zero behind it
        inc     dword ptr [typed_length]
        jmp     typed_show
1:      ret

# Takes the last character away. Keeps EBX.
typed_shorten:
        mov     ecx, [typed_length]
        jecxz   1f
        dec     ecx
        mov     [typed_length], ecx
        mov     byte ptr [typed + ecx], 0
        jmp     typed_show
1:      ret

# Shows the end of what was typed, as much as there is room for, and the caret behind it. While it only grows, and fits,
# nothing is drawn but what is new.
typed_show:
        pushad
        call    caret_hide
        mov     esi, offset typed
        add     esi, [typed_length]
        xor     ecx, ecx                # the width
1:      cmp     esi, offset typed
        je      2f
        movzx   ebx, byte ptr [esi - 1]
        call    character_entry
        movzx   eax, bl
        add     eax, ecx
        cmp     eax, INPUT_WIDTH - CARET_WIDTH
        ja      2f
        mov     ecx, eax
        dec     esi
        jmp     1b
2:      mov     eax, [caret_x]          # where the new character goes, if it is only one more
        lea     edx, [ecx + INPUT_X]    # where the caret will be
        mov     [caret_x], edx
        mov     ebp, offset style_typed
        mov     ecx, [typed_length]
        mov     ebx, [shown_length]
        mov     [shown_length], ecx
        inc     ebx
        cmp     ebx, ecx
        jne     3f
        cmp     esi, offset typed
        jne     3f
        lea     esi, [typed + ecx - 1]
        mov     ecx, edx
        sub     ecx, eax
        jmp     4f
3:      mov     eax, INPUT_X
        mov     ecx, INPUT_WIDTH
4:      line_begin
        call    line_add
        mov     edx, INPUT_Y
        call    text_field
        call    caret_show
        popad
        ret

# To be called at each tick: lets the caret blink.
        .globl  keyboard_tick
keyboard_tick:
        dec     dword ptr [caret_ticks]
        jnz     1f
        cmp     byte ptr [is_caret_shown], 0
        je      caret_show
        # fall through

caret_hide:
        mov     byte ptr [is_caret_shown], 0
        mov     esi, WELL_COLOUR
        jmp     caret_draw
caret_show:
        mov     byte ptr [is_caret_shown], 1
        mov     esi, CARET_COLOUR
caret_draw:
        mov     dword ptr [caret_ticks], CARET_TICKS
        mov     eax, [caret_x]
        mov     edx, INPUT_Y
        mov     ecx, CARET_WIDTH
        mov     ebx, TEXT_HEIGHT
        jmp     rectangle_fill
1:      ret

        .section .rodata
        .balign 4
# Key, bit
modifiers:
        .long   KEY_SHIFT_LEFT, SHIFT_LEFT
        .long   KEY_SHIFT_RIGHT, SHIFT_RIGHT
        .long   KEY_CTRL, CTRL_LEFT
        .long   KEY_CTRL | EXTENDED, CTRL_RIGHT
        .long   KEY_ALT, ALT_LEFT
        .long   KEY_ALT | EXTENDED, ALT_RIGHT
        .long   0

        .data
        .balign 4
caret_x:
        .long   INPUT_X
caret_ticks:
        .long   CARET_TICKS

        .bss
        .balign 4
held:   .space  4
typed_length:
        .space  4
# How much of it has been drawn
shown_length:
        .space  4
typed:  .space  TYPED_LENGTH + 2
prefix: .space  1
pause_left:
        .space  1
is_down:
        .space  1
caps_lock:
        .space  1
is_caret_shown:
        .space  1
