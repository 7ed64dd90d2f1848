# Off and reset: the fixed registers of ACPI (ACPI specification 6.4, sections 4.8.3 and 5.2), which its tables place,
# and the ways in which PCs are reset.
#
# The power button is looked at ten times a second instead of taking its interrupt, whose line and trigger are the
# chipset's own matter. What switches the machine off stands in the object \_S5 of the definition block. That is a
# program in a language of its own; the object is always written in the same way, so it is searched for instead of
# executed.

        .include "machine.inc"

        .equ    BIOS_START, 0xe0000
        .equ    BIOS_END, 0x100000
        .equ    HEADER_LENGTH, 36
        # Tables that say they are longer are damaged
        .equ    LONGEST_TABLE, 0x100000

        # Root system description pointer
        .equ    RSDP_LENGTH, 20
        .equ    RSDP_RSDT, 16

        # Fixed description table
        .equ    FADT_DSDT, 40
        .equ    FADT_SMI_CMD, 48
        .equ    FADT_ACPI_ENABLE, 52
        .equ    FADT_PM1A_EVT, 56
        .equ    FADT_PM1A_CNT, 64
        .equ    FADT_PM1B_CNT, 68
        .equ    FADT_PM1_EVT_LEN, 88

        # Ticks after which it hasn't switched off: three seconds
        .equ    PATIENCE_TICKS, 150

        # Power management 1: status and enable, control
        .equ    PWRBTN, 1 << 8
        .equ    SCI_EN, 1 << 0
        .equ    SLP_TYP, 7 << 10
        .equ    SLP_TYP_SHIFT, 10
        .equ    SLP_EN, 1 << 13

        # The definition block's bytes
        .equ    NAME_OP, 0x08
        .equ    ROOT_CHARACTER, 0x5c
        .equ    PACKAGE_OP, 0x12
        .equ    BYTE_PREFIX, 0x0a
        .equ    ONE_OP, 0x01

        .text
        .code32

# Finds the registers and switches the power button on. Without them there is no button, which is said.
        .globl  power_setup
power_setup:
        call    fadt_find
        jnz     none
        call    s5_find
        jnz     none
        call    acpi_enable
        movzx   eax, word ptr [esi + FADT_PM1A_EVT]
        test    eax, eax
        jz      none
        movzx   ecx, byte ptr [esi + FADT_PM1_EVT_LEN]
        shr     ecx, 1                  # half of the block is status, half enable
        lea     edx, [eax + ecx]
        mov     [pm1_status], eax
        mov     ax, PWRBTN              # a press from before is a wish too: its status stays
        out     dx, ax
        movzx   eax, word ptr [esi + FADT_PM1A_CNT]
        mov     [pm1a_control], eax
        movzx   eax, word ptr [esi + FADT_PM1B_CNT]
        mov     [pm1b_control], eax
        ret
none:   say     "welcome: no power button"
        ret

# Looks whether the button was pressed.
        .globl  power_poll
power_poll:
        mov     edx, [pm1_status]
        test    edx, edx
        jz      1f
        in      ax, dx
        test    ax, PWRBTN
        jz      1f
        mov     ax, PWRBTN              # a one clears it
        out     dx, ax
        say     "power button"
        say     "off"
        call    serial_drain
        mov     edx, [pm1a_control]
        mov     ecx, [s5_type_a]
        call    sleep
        mov     edx, [pm1b_control]
        mov     ecx, [s5_type_b]
        call    sleep
        mov     ebx, [ticks]            # it may take its time
        add     ebx, PATIENCE_TICKS
2:      call    wait_for_interrupt
        cmp     [ticks], ebx
        js      2b
        say     "welcome: this computer stays on"
1:      ret

# In: EDX a control register or zero, ECX the type to sleep by
sleep:  test    edx, edx
        jz      1f
        in      ax, dx
        and     eax, ~(SLP_TYP | SLP_EN) & 0xffff
        shl     ecx, SLP_TYP_SHIFT
        or      eax, ecx
        out     dx, ax                  # the type first: some want it so
        or      eax, SLP_EN
        out     dx, ax
1:      ret

# Resets the machine, in one way or another.
        .globl  power_reset
power_reset:
        say     "reset"
        call    serial_drain
        mov     edx, RESET_CONTROL
        mov     al, 0x02                # hard reset
        out     dx, al
        mov     al, 0x06                # now
        out     dx, al
        mov     al, 0xfe                # pulse the processor's line
        out     KBC_STATUS, al
        lidt    [no_gates]              # a fault that can't be handled
        int3

# Until COM1 has sent everything, or takes too long.
serial_drain:
        mov     edx, COM1 + 5
        mov     ecx, 100000
1:      in      al, dx
        test    al, 0x40                # transmitter empty
        loopz   1b
        ret

# Finds the fixed description table.
# Out: zero flag set, ESI table; or zero flag clear
fadt_find:
        mov     esi, BIOS_START
1:      cmp     dword ptr [esi], 0x20445352     # "RSD "
        jne     2f
        cmp     dword ptr [esi + 4], 0x20525450 # "PTR "
        jne     2f
        mov     ecx, RSDP_LENGTH
        call    checksum
        jz      3f
2:      add     esi, 16
        cmp     esi, BIOS_END
        jb      1b
        jmp     5f
3:      mov     esi, [esi + RSDP_RSDT]
        mov     eax, 0x54445352         # "RSDT"
        call    table_check
        jnz     6f
        mov     ecx, [esi + 4]
        sub     ecx, HEADER_LENGTH
        shr     ecx, 2
        lea     edi, [esi + HEADER_LENGTH]
4:      jecxz   5f
        mov     esi, [edi]
        mov     eax, 0x50434146         # "FACP"
        call    table_check
        jz      6f
        add     edi, 4
        dec     ecx
        jmp     4b
5:      test    esp, esp                # zero flag clear
6:      ret

# Is this a sound table with a certain signature?
# In: ESI table, EAX signature
# Out: zero flag. Keeps ECX, ESI, EDI.
table_check:
        cmp     [esi], eax
        jne     2f
        push    ecx
        mov     ecx, [esi + 4]
        mov     eax, ecx
        sub     eax, HEADER_LENGTH
        cmp     eax, LONGEST_TABLE
        ja      1f                      # or shorter than a header
        call    checksum
1:      pop     ecx
2:      ret

# Is the sum of some bytes zero?
# In: ESI bytes, ECX number, not zero
# Out: zero flag. Changes EAX, ECX.
checksum:
        push    esi
        xor     eax, eax
1:      add     al, [esi]
        inc     esi
        dec     ecx
        jnz     1b
        pop     esi
        test    al, al
        ret

# Finds the types of sleep that mean off: Name (_S5, Package () {A, B, ...}).
# In: ESI fixed description table. Keeps it.
# Out: zero flag set if found
s5_find:
        push    esi
        mov     esi, [esi + FADT_DSDT]
        mov     eax, 0x54445344         # "DSDT"
        call    table_check
        jnz     4f
        mov     ecx, [esi + 4]
        add     ecx, esi
        sub     ecx, 16                 # where the last one can begin
        add     esi, HEADER_LENGTH
1:      inc     esi
        cmp     esi, ecx
        jae     5f
        cmp     dword ptr [esi], 0x5f35535f     # "_S5_"
        jne     1b
        cmp     byte ptr [esi + 4], PACKAGE_OP
        jne     1b
        cmp     byte ptr [esi - 1], NAME_OP
        je      2f
        cmp     word ptr [esi - 2], ROOT_CHARACTER << 8 | NAME_OP
        jne     1b
2:      lea     edi, [esi + 5]
        movzx   eax, byte ptr [edi]     # the package's length: its highest bits say how many bytes more it has
        shr     eax, 6
        lea     edi, [edi + eax + 2]    # and the number of elements
        call    s5_type
        jnz     1b
        mov     [s5_type_a], eax
        call    s5_type
        jnz     1b
        mov     [s5_type_b], eax
        xor     eax, eax
4:      pop     esi
        ret
5:      test    esp, esp                # zero flag clear
        jmp     4b

# In: EDI a number in the definition block
# Out: zero flag set, EAX number, EDI behind it; or zero flag clear, it is something else
s5_type:
        movzx   eax, byte ptr [edi]
        inc     edi
        cmp     eax, ONE_OP             # zero and one stand for themselves
        jbe     1f
        cmp     eax, BYTE_PREFIX
        jne     2f
        movzx   eax, byte ptr [edi]
        inc     edi
1:      and     eax, SLP_TYP >> SLP_TYP_SHIFT
        cmp     eax, eax
2:      ret

# Takes the registers over from the firmware, if it still has them.
# In: ESI fixed description table
acpi_enable:
        movzx   edx, word ptr [esi + FADT_PM1A_CNT]
        in      ax, dx
        test    ax, SCI_EN
        jnz     2f
        mov     edx, [esi + FADT_SMI_CMD]
        test    edx, edx
        jz      2f
        mov     al, [esi + FADT_ACPI_ENABLE]
        out     dx, al
        movzx   edx, word ptr [esi + FADT_PM1A_CNT]
        mov     ecx, 100000
1:      in      ax, dx
        test    ax, SCI_EN
        loopz   1b
2:      ret

        .section .rodata
        .balign 4
no_gates:
        .word   0
        .long   0

        .bss
        .balign 4
pm1_status:
        .space  4
pm1a_control:
        .space  4
pm1b_control:
        .space  4
s5_type_a:
        .space  4
s5_type_b:
        .space  4
