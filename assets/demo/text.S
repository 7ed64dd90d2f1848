# Lines of text: built in a buffer, for COM1 and for the screen; and how they are drawn.

        .include "machine.inc"
        .include "layout.inc"

        .equ    LINE_LENGTH, 400

        .text
        .code32

# Adds a text to the line; what doesn't fit is left out.
# In: ESI text
        .globl  line_add
line_add:
        push    eax
        push    esi
1:      lodsb
        test    al, al
        jz      2f
        call    line_add_character
        jmp     1b
2:      pop     esi
        pop     eax
        ret

# In: AL character
        .globl  line_add_character
line_add_character:
        push    edi
        mov     edi, [line_end]
        cmp     edi, offset line_buffer + LINE_LENGTH
        jae     1f
        mov     ah, 0
        mov     [edi], ax               # with a zero behind it
        inc     dword ptr [line_end]
1:      pop     edi
        ret

# Adds a number with a sign.
# In: EAX
        .globl  line_add_signed
line_add_signed:
        test    eax, eax
        jns     line_add_decimal
        push    eax
        mov     al, '-'
        call    line_add_character
        pop     eax
        neg     eax
        # fall through

# Adds a number.
# In: EAX
        .globl  line_add_decimal
line_add_decimal:
        push    ecx
        mov     ecx, 1
        call    add_digits
        pop     ecx
        ret

# Adds a number with at least two digits.
# In: EAX
        .globl  line_add_two_digits
line_add_two_digits:
        push    ecx
        mov     ecx, 2
        call    add_digits
        pop     ecx
        ret

# In: EAX number; ECX digits at least
add_digits:
        pushad
        mov     ebx, 10
        xor     edi, edi
1:      xor     edx, edx
        div     ebx
        push    edx                     # the last digit comes first
        inc     edi
        test    eax, eax
        jnz     1b
        cmp     edi, ecx
        jb      1b
2:      pop     eax
        add     al, '0'
        call    line_add_character
        dec     edi
        jnz     2b
        popad
        ret

# Adds a byte in hexadecimal.
# In: AL
        .globl  line_add_hex8
line_add_hex8:
        push    eax
        shr     al, 4
        call    add_hex_digit
        mov     eax, [esp]
        and     al, 15
        call    add_hex_digit
        pop     eax
        ret

# Adds 32 bits in hexadecimal.
# In: EAX
        .globl  line_add_hex32
line_add_hex32:
        push    ecx
        mov     ecx, 4
1:      rol     eax, 8
        call    line_add_hex8
        loop    1b
        pop     ecx
        ret

add_hex_digit:
        add     al, '0'
        cmp     al, '9'
        jbe     line_add_character
        add     al, 'a' - '9' - 1
        jmp     line_add_character

# Draws the line into a field, whose other pixels become the ground's. What doesn't fit is cut off at a character.
# In: EAX, EDX left upper corner; ECX width; EBP colours of the sixteen shades
        .globl  text_field
text_field:
        pushad
        mov     ebx, TEXT_HEIGHT
        call    surface_touch
        mov     esi, offset line_buffer
        call    text_draw
        call    pixel_address           # the rest of the field
        mov     edx, TEXT_HEIGHT
        mov     eax, [ebp]
1:      push    edi
        push    ecx
        rep stosd
        pop     ecx
        pop     edi
        add     edi, [surface_pitch]
        dec     edx
        jnz     1b
        popad
        push    ebx
        mov     ebx, TEXT_HEIGHT
        call    surface_show
        pop     ebx
        ret

# Draws a text as far as there is room.
# In: EAX, EDX left upper corner; ECX width; ESI text; EBP colours
# Out: EAX, ECX behind the last character, and the width that is left
        .globl  text_draw
text_draw:
        push    ebx
        push    esi
        push    edi
1:      movzx   ebx, byte ptr [esi]
        inc     esi
        test    ebx, ebx
        jz      2f
        call    character_entry
        movzx   edi, bl
        cmp     edi, ecx
        ja      2f
        call    character_draw
        add     eax, edi
        sub     ecx, edi
        jmp     1b
2:      pop     edi
        pop     esi
        pop     ebx
        ret

# What the font's index says of a character: another than the printable ones is a question mark.
# In: EBX character
# Out: EBX entry: BL its width
        .globl  character_entry
character_entry:
        sub     ebx, ' '
        cmp     ebx, '~' - ' '
        jbe     1f
        mov     ebx, '?' - ' '
1:      mov     ebx, [small_font + ebx * 4]
        ret

# Draws a character.
# In: EAX, EDX left upper corner; EBX entry; EBP colours
        .globl  character_draw
character_draw:
        pushad
        mov     ecx, TEXT_HEIGHT
        mov     esi, ebx
        shr     esi, 8
        add     esi, offset small_font
        movzx   ebx, bl
        inc     ebx                     # two pixels a byte, rounded up
        shr     ebx, 1
        call    bitmap_draw
        popad
        ret

# Draws a bitmap of sixteen shades.
# In: EAX, EDX left upper corner; EBX bytes a row; ECX rows; ESI bitmap; EBP colours
# Changes everything but EBP.
        .globl  bitmap_draw
bitmap_draw:
        call    pixel_address
1:      push    ecx
        push    edi
        mov     ecx, ebx
2:      movzx   eax, byte ptr [esi]
        inc     esi
        mov     edx, eax
        shr     eax, 4
        mov     eax, [ebp + eax * 4]
        stosd
        and     edx, 15
        mov     eax, [ebp + edx * 4]
        stosd
        dec     ecx
        jnz     2b
        pop     edi
        pop     ecx
        add     edi, [surface_pitch]
        dec     ecx
        jnz     1b
        ret

        .section .rodata
        .balign 4
        .include "styles.inc"

        .bss
        .balign 4
        .globl  line_buffer, line_end
line_buffer:
        .space  LINE_LENGTH + 4
line_end:
        .space  4
