# The pointer: an arrow that lies over the picture. What is below it is kept, and put back before something is drawn
# there; the main loop shows it again.

        .include "machine.inc"
        .include "layout.inc"

        .text
        .code32

# Shows it, if it isn't.
        .globl  pointer_show
pointer_show:
        cmp     byte ptr [is_shown], 0
        jne     1f
        mov     byte ptr [is_shown], 1
        pushad
        call    rectangle
        call    draw
        call    surface_show
        popad
1:      ret

# Takes it away, if it is shown.
        .globl  pointer_hide
pointer_hide:
        cmp     byte ptr [is_shown], 0
        je      2f
        mov     byte ptr [is_shown], 0
        pushad
        call    rectangle
        push    ecx
        push    ebx
        call    pixel_address
        mov     esi, offset below
1:      push    ecx
        push    edi
        rep movsd
        pop     edi
        pop     ecx
        add     edi, [surface_pitch]
        dec     ebx
        jnz     1b
        pop     ebx
        pop     ecx
        call    surface_show
        popad
2:      ret

# Takes it away if it overlaps a rectangle, which is going to be drawn.
# In: EAX, EDX, ECX, EBX. Keeps everything.
        .globl  pointer_yield
pointer_yield:
        push    esi
        mov     esi, [pointer_x]        # each of them must begin before the other one ends
        sub     esi, eax
        cmp     esi, ecx
        jge     1f
        add     esi, POINTER_WIDTH
        jle     1f
        mov     esi, [pointer_y]
        sub     esi, edx
        cmp     esi, ebx
        jge     1f
        add     esi, POINTER_HEIGHT
        jle     1f
        call    pointer_hide
1:      pop     esi
        ret

# Where it is, as a rectangle cut off at the picture's edges.
# Out: EAX, EDX, ECX, EBX
rectangle:
        mov     eax, [pointer_x]
        mov     edx, [pointer_y]
        mov     ecx, PICTURE_WIDTH
        sub     ecx, eax
        cmp     ecx, POINTER_WIDTH
        jbe     1f
        mov     ecx, POINTER_WIDTH
1:      mov     ebx, PICTURE_HEIGHT
        sub     ebx, edx
        cmp     ebx, POINTER_HEIGHT
        jbe     2f
        mov     ebx, POINTER_HEIGHT
2:      ret

# Keeps what is below the rectangle and draws over it.
# In: EAX, EDX, ECX, EBX. Keeps those.
draw:   pushad
        call    pixel_address
        mov     ebp, offset below
        mov     esi, offset pointer_pixels
row:    push    ecx
        push    esi
        push    edi
        push    ecx                     # keep the row
        push    esi
        push    edi
        mov     esi, edi
        mov     edi, ebp
        rep movsd
        mov     ebp, edi
        pop     edi
        pop     esi
        pop     ecx
column: mov     eax, [esi]              # highest byte: how much is to be seen of what is below
        cmp     eax, 0xff000000
        jae     skip
        cmp     eax, 0x01000000
        jb      store
        push    ebx
        push    ecx
        mov     ecx, eax
        shr     ecx, 24
        mov     ebx, [edi]
        mov     edx, ebx
        and     ebx, 0xff00ff           # red and blue at once
        imul    ebx, ecx
        shr     ebx, 8
        and     ebx, 0xff00ff
        and     edx, 0x00ff00
        imul    edx, ecx
        shr     edx, 8
        and     edx, 0x00ff00
        and     eax, 0xffffff
        add     eax, ebx
        add     eax, edx
        pop     ecx
        pop     ebx
store:  mov     [edi], eax
skip:   add     esi, 4
        add     edi, 4
        dec     ecx
        jnz     column
        pop     edi
        pop     esi
        pop     ecx
        add     esi, POINTER_WIDTH * 4
        add     edi, [surface_pitch]
        dec     ebx
        jnz     row
        popad
        ret

        .data
        .balign 4
# The tip
        .globl  pointer_x, pointer_y
pointer_x:
        .long   PICTURE_WIDTH / 2
pointer_y:
        .long   PICTURE_HEIGHT / 2

        .bss
        .balign 4
below:  .space  POINTER_WIDTH * POINTER_HEIGHT * 4
is_shown:
        .space  1
