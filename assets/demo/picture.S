# The surface that everything is drawn on, pictures and rectangles.
#
# The surface has 1024 x 768 pixels of 32 bits. It is the screen's own memory if the screen has that size; otherwise it
# is a shadow in memory, and what has changed is shown reduced.
#
# Rectangles are EAX, EDX (left upper corner), ECX (width), EBX (height), and lie on the surface.

        .include "machine.inc"
        .include "layout.inc"

        .text
        .code32

# Decides where the surface is.
        .globl  surface_setup
surface_setup:
        mov     eax, [frame_buffer]
        mov     ecx, [frame_pitch]
        cmp     dword ptr [screen_width], PICTURE_WIDTH
        je      1f
        mov     eax, SHADOW
        mov     ecx, PICTURE_WIDTH * 4
        mov     byte ptr [is_shadow], 1
1:      mov     [surface], eax
        mov     [surface_pitch], ecx
        ret

# Where a pixel is.
# In: EAX, EDX
# Out: EDI
        .globl  pixel_address
pixel_address:
        mov     edi, edx
        imul    edi, [surface_pitch]
        lea     edi, [edi + eax * 4]
        add     edi, [surface]
        ret

# To be called before a rectangle is drawn: takes the pointer away if it is there.
        .globl  surface_touch
surface_touch:
        jmp     pointer_yield

# To be called when a rectangle was drawn.
        .globl  surface_show
surface_show:
        cmp     byte ptr [is_shadow], 0
        jne     reduce
        ret

# Draws a packed picture of a rectangle's size: runs of colours, by bytes that stand for entries of a dictionary. How it
# is packed, the build's pack.rs tells.
# In: the rectangle; ESI packed picture
        .globl  picture_draw
picture_draw:
        call    surface_touch
        pushad
        call    pixel_address
        mov     ebp, edi                # the row's beginning
        xor     eax, eax                # the colour
next:   movzx   ebx, byte ptr [esi]
        inc     esi
        mov     ecx, [dictionary + ebx * 8 + 4]
        jecxz   special
        add     eax, [dictionary + ebx * 8]
        rep stosd
        jmp     next
special:
        dec     ebx
        js      picture_end             # 0
        jz      row_end                 # 1
        dec     ebx
        jz      pixel                   # 2
        movzx   ebx, byte ptr [esi]     # 3
        inc     esi
        add     eax, [dictionary + 256 * 8 + ebx * 4]
        stosd
        jmp     next
pixel:  mov     eax, [esi]
        and     eax, 0xffffff
        add     esi, 3
        stosd
        jmp     next
row_end:
        add     ebp, [surface_pitch]
        mov     edi, ebp
        jmp     next
picture_end:
        popad
        jmp     surface_show

# Fills a rectangle.
# In: the rectangle; ESI colour
        .globl  rectangle_fill
rectangle_fill:
        call    surface_touch
        pushad
        call    pixel_address
        mov     eax, esi
1:      push    ecx
        push    edi
        rep stosd
        pop     edi
        pop     ecx
        add     edi, [surface_pitch]
        dec     ebx
        jnz     1b
        popad
        jmp     surface_show

# Shows a rectangle of the shadow on the smaller screen: each pixel there is the one of the surface that it lies on.
reduce: pushad
        mov     ebp, esp
        add     ecx, eax
        add     ebx, edx
        mov     [right], ecx
        mov     [bottom], ebx
        mov     ecx, PICTURE_WIDTH
        mul     dword ptr [screen_width]
        div     ecx
        mov     [left_there], eax
        mov     eax, [right]
        mul     dword ptr [screen_width]
        add     eax, PICTURE_WIDTH - 1
        div     ecx
        mov     [right_there], eax
        mov     ecx, PICTURE_HEIGHT
        mov     eax, [ebp + 20]         # EDX as it was
        mul     dword ptr [screen_height]
        div     ecx
        mov     ebx, eax                # the row
        mov     eax, [bottom]
        mul     dword ptr [screen_height]
        add     eax, PICTURE_HEIGHT - 1
        div     ecx
        mov     [bottom_there], eax
1:      cmp     ebx, [bottom_there]
        jae     4f
        mov     eax, ebx
        mov     ecx, PICTURE_HEIGHT
        mul     ecx
        div     dword ptr [screen_height]
        imul    eax, PICTURE_WIDTH * 4
        lea     esi, [eax + SHADOW]
        mov     edi, ebx
        imul    edi, [frame_pitch]
        add     edi, [frame_buffer]
        mov     ecx, [left_there]
        lea     edi, [edi + ecx * 4]
2:      cmp     ecx, [right_there]
        jae     3f
        mov     eax, ecx
        mov     edx, PICTURE_WIDTH
        mul     edx
        div     dword ptr [screen_width]
        mov     eax, [esi + eax * 4]
        stosd
        inc     ecx
        jmp     2b
3:      inc     ebx
        jmp     1b
4:      popad
        ret

        .bss
        .balign 4
surface:
        .space  4
        .globl  surface_pitch
surface_pitch:
        .space  4
right:  .space  4
bottom: .space  4
left_there:
        .space  4
right_there:
        .space  4
bottom_there:
        .space  4
is_shadow:
        .space  1
