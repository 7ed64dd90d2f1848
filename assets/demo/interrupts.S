# Interrupts and faults: the pair of 8259 interrupt controllers (Intel 8259A), the descriptor table, and the handlers.
#
# A handler that ends with IRET would be the usual thing. But some KVMs interpret a guest's code (kvm_pvm, without the
# processor's help), and their interpreter has no IRET for protected mode. There is no need for one: interrupts are on
# in a single place, between STI and HLT, where no flag matters, and are wanted off when the wait is over. So a
# handler returns far, drops the flags, and leaves interrupts off.

        .include "machine.inc"

        .equ    EOI, 0x20
        .equ    FAULTS, 32
        .equ    FAULT_STUB, 16
        .equ    IRQS, 16
        .equ    INTERRUPT_GATE, 0x8e00

        .equ    OUTPUT_FULL, 0x01
        .equ    FROM_MOUSE, 0x20

        # Bytes of the keyboard controller that wait: a power of two
        .equ    RING_BYTES, 512

        .text
        .code32

# Builds the table, moves the 8259s' vectors away from the processor's own, and lets through what is handled: the timer,
# the keyboard, the mouse and the second controller.
        .globl  interrupts_setup
interrupts_setup:
        xor     ecx, ecx
1:      mov     eax, [handlers + ecx * 4]
        mov     edx, eax
        and     eax, 0xffff
        or      eax, CODE32 << 16
        mov     [gates + ecx * 8], eax
        and     edx, 0xffff0000
        or      edx, INTERRUPT_GATE
        mov     [gates + ecx * 8 + 4], edx
        inc     ecx
        cmp     ecx, FAULTS + IRQS
        jb      1b
        lidt    [gates_pointer]
        mov     esi, offset pic_settings
        mov     ecx, 10
2:      movzx   edx, byte ptr [esi]
        mov     al, [esi + 1]
        out     dx, al
        add     esi, 2
        loop    2b
        ret

# Waits until something has come. If it came already, the processor doesn't halt: STI takes effect after the
# instruction behind it.
        .globl  wait_for_interrupt
wait_for_interrupt:
        sti
        hlt
        cli                             # what is no interrupt wakes too
        ret

timer_handler:
        push    eax
        inc     dword ptr [ticks]
        jmp     end_first

keyboard_handler:
        push    eax
        call    take_bytes
end_first:
        mov     al, EOI
        out     PIC1, al
        pop     eax
        retf    4                       # the flags

mouse_handler:
        push    eax
        call    take_bytes
        mov     al, EOI
        out     PIC2, al
        jmp     end_first

# The controllers say 7 or 15 for an interrupt that was gone when they looked: then nothing may be acknowledged, except
# that the first one did see the second. Both are masked, so there is no other.
spurious_handler:
        retf    4
spurious_second_handler:
        push    eax
        jmp     end_first

# Takes what the keyboard controller has: whose byte it is, its status says, and not the interrupt.
take_bytes:
        push    ebx
        push    ecx
        mov     ecx, 16                 # a port that isn't there is always full
1:      in      al, KBC_STATUS
        test    al, OUTPUT_FULL
        jz      2f
        mov     ah, al
        in      al, KBC_DATA
        and     ah, FROM_MOUSE
        mov     ebx, [ring_head]
        mov     [ring + ebx], ax
        add     ebx, 2
        and     ebx, RING_BYTES - 1
        cmp     ebx, [ring_tail]
        je      2f                      # nobody listens any more: it is lost
        mov     [ring_head], ebx
        loop    1b
2:      pop     ecx
        pop     ebx
        ret

# The next byte that came.
# Out: zero flag clear, AL the byte, AH not zero if it is the mouse's; or zero flag set
        .globl  ring_take
ring_take:
        mov     ecx, [ring_tail]
        cmp     ecx, [ring_head]
        je      1f
        movzx   eax, word ptr [ring + ecx]
        add     ecx, 2
        and     ecx, RING_BYTES - 1
        mov     [ring_tail], ecx
        or      ecx, 1                  # not zero
1:      ret

# A fault is a mistake of this program's: it is said, and nothing goes on. Each has a stub of the same length, which
# pushes its number; some faults have pushed an error code before.
        .balign 16
fault_stubs:
        .set    number, 0
        .rept   FAULTS
        .balign FAULT_STUB
        .if     number != 8 && (number < 10 || number > 14) && number != 17 && number != 21
        push    0
        .endif
        push    number
        jmp     fault
        .set    number, number + 1
        .endr

fault:  line_begin
        line_text "fault "
        pop     eax
        call    line_add_decimal
        line_text " at "
        mov     eax, [esp + 4]
        call    line_add_hex32
        call    serial_line
1:      cli
        hlt
        jmp     1b

        .section .rodata
        .balign 4
handlers:
        .set    number, 0
        .rept   FAULTS
        .long   fault_stubs + FAULT_STUB * number
        .set    number, number + 1
        .endr
        .long   timer_handler, keyboard_handler, spurious_handler, spurious_handler
        .long   spurious_handler, spurious_handler, spurious_handler, spurious_handler
        .long   spurious_second_handler, spurious_second_handler, spurious_second_handler, spurious_second_handler
        .long   mouse_handler, spurious_second_handler, spurious_second_handler, spurious_second_handler

gates_pointer:
        .word   (FAULTS + IRQS) * 8 - 1
        .long   gates

# Port and value: initialization command words 1 to 4 for both, then the masks
pic_settings:
        .byte   PIC1, 0x11
        .byte   PIC2, 0x11
        .byte   PIC1 + 1, IRQ_BASE
        .byte   PIC2 + 1, IRQ_BASE + 8
        .byte   PIC1 + 1, 1 << 2        # the second one's line
        .byte   PIC2 + 1, 2
        .byte   PIC1 + 1, 1
        .byte   PIC2 + 1, 1
        .byte   PIC1 + 1, 0xf8          # all but 0, 1, 2
        .byte   PIC2 + 1, 0xef          # all but 12

        .bss
        .balign 8
gates:  .space  (FAULTS + IRQS) * 8
ring:   .space  RING_BYTES
ring_head:
        .space  4
ring_tail:
        .space  4
# Interrupts of the timer since it was set up
        .globl  ticks
ticks:  .space  4
