# The card that says what computer this is: the screen, the memory, the maker of the processor, and what stands between
# the two, as CPUID names them (Intel's manual, volume 2A; leaf 40000000h by convention of the hypervisors).

        .include "machine.inc"
        .include "layout.inc"

        .equ    HYPERVISOR, 1 << 31     # leaf 1, ECX

        .text
        .code32

        .globl  computer_show
computer_show:
        line_begin
        mov     eax, [screen_width]
        call    line_add_decimal
        line_text " x "
        mov     eax, [screen_height]
        call    line_add_decimal
        mov     eax, SCREEN_X
        mov     edx, SCREEN_Y
        call    value

        line_begin
        mov     eax, [memory_mib]
        call    line_add_decimal
        line_text " MiB"
        mov     eax, MEMORY_X
        mov     edx, MEMORY_Y
        call    value

        xor     eax, eax
        cpuid
        mov     [signature], ebx
        mov     [signature + 4], edx
        mov     [signature + 8], ecx
        call    add_name
        mov     eax, PROCESSOR_X
        mov     edx, PROCESSOR_Y
        call    value

        mov     eax, 1
        cpuid
        test    ecx, HYPERVISOR
        jnz     1f
        line_begin
        line_text "hardware"
        jmp     2f
1:      mov     eax, 0x40000000
        cpuid
        mov     [signature], ebx
        mov     [signature + 4], ecx
        mov     [signature + 8], edx
        call    add_name
2:      mov     eax, UNDER_X
        mov     edx, UNDER_Y
        # fall through

# In: EAX, EDX where the line is to be shown
value:  mov     ecx, COMPUTER_VALUE_WIDTH
        mov     ebp, offset style_bright
        jmp     text_field

# Makes a line of the signature: by the name that people know, if there is one, or as it is.
add_name:
        line_begin
        mov     esi, offset names
1:      mov     eax, [esi]
        test    eax, eax
        jz      2f
        cmp     eax, [signature]
        je      3f
        add     esi, 8
        jmp     1b
2:      mov     esi, offset signature   # a zero follows it
        jmp     line_add
3:      mov     esi, [esi + 4]
        jmp     line_add

        .section .rodata
        .balign 4
# The first four letters, the name
names:  .ascii  "Genu"
        .long   intel
        .ascii  "Auth"
        .long   amd
        .ascii  "KVMK"
        .long   kvm
        .ascii  "TCGT"
        .long   tcg
        .long   0
intel:  .asciz  "Intel"
amd:    .asciz  "AMD"
kvm:    .asciz  "KVM"
tcg:    .asciz  "QEMU's TCG"

        .bss
        .balign 4
signature:
        .space  16
