# Time: the interval timer (Intel 8254), whose counter 0 interrupts fifty times a second, and the real-time clock
# (Motorola MC146818), which is asked for the time of day now and then.

        .include "machine.inc"
        .include "layout.inc"

        .equ    PIT_HERTZ, 1193182
        .equ    DIVISOR, PIT_HERTZ / 50
        .equ    COUNTER_0_MODE_2, 0x34
        .equ    TICKS_TO_POWER_POLL, 5

        # Registers of the real-time clock
        .equ    RTC_SECONDS, 0
        .equ    RTC_MINUTES, 2
        .equ    RTC_HOURS, 4
        .equ    RTC_A, 10
        .equ    RTC_B, 11
        .equ    UPDATE_IN_PROGRESS, 0x80
        .equ    BINARY, 0x04
        .equ    HOURS_24, 0x02
        .equ    AFTERNOON, 0x80

        .text
        .code32

        .globl  clock_setup
clock_setup:
        mov     ecx, 100000             # an update takes 2 ms
1:      call    rtc_read
        jnz     2f
        loop    1b
2:      call    digits_show
        line_begin
        call    add_time
        mov     eax, STARTED_X
        mov     edx, STARTED_Y
        mov     ecx, CLOCK_VALUE_WIDTH
        mov     ebp, offset style_bright
        call    text_field
        call    running_show
        mov     al, COUNTER_0_MODE_2
        out     PIT + 3, al
        mov     al, DIVISOR & 0xff
        out     PIT, al
        mov     al, DIVISOR >> 8
        out     PIT, al
        ret

# Does what is due for each tick that has come.
        .globl  clock_poll
clock_poll:
        mov     eax, [ticks_done]
        cmp     eax, [ticks]
        je      1f
        inc     dword ptr [ticks_done]
        call    tick
        jmp     clock_poll
1:      ret

tick:   call    speaker_tick
        call    keyboard_tick
        inc     byte ptr [power_poll_due]
        cmp     byte ptr [power_poll_due], TICKS_TO_POWER_POLL
        jb      1f
        mov     byte ptr [power_poll_due], 0
        call    power_poll
1:      add     dword ptr [fraction], DIVISOR
        cmp     dword ptr [fraction], PIT_HERTZ
        jb      2f
        sub     dword ptr [fraction], PIT_HERTZ
        call    second
2:      ret

# A second has passed.
second: inc     dword ptr [running]
        inc     dword ptr [seconds]
        cmp     dword ptr [seconds], 60
        jb      1f
        mov     dword ptr [seconds], 0
        inc     dword ptr [minutes]
        cmp     dword ptr [minutes], 60
        jb      2f
        mov     dword ptr [minutes], 0
        inc     dword ptr [hours]
        cmp     dword ptr [hours], 24
        jb      2f
        mov     dword ptr [hours], 0
2:      call    rtc_read                # each minute: the machine may have stood still
1:      call    digits_show
        call    running_show
        line_begin
        line_text "tick "
        mov     eax, [running]
        call    line_add_decimal
        jmp     serial_line

# Reads the time of day, unless the clock is just changing it.
# Out: zero flag clear if it was read
rtc_read:
        mov     al, RTC_A
        call    rtc_register
        test    al, UPDATE_IN_PROGRESS
        jnz     1f
        mov     al, RTC_SECONDS
        call    rtc_register
        call    rtc_number
        mov     [seconds], eax
        mov     al, RTC_MINUTES
        call    rtc_register
        call    rtc_number
        mov     [minutes], eax
        mov     al, RTC_HOURS
        call    rtc_register
        mov     dl, al
        and     al, AFTERNOON - 1
        call    rtc_number
        push    eax
        mov     al, RTC_B
        call    rtc_register
        test    al, HOURS_24
        pop     eax
        jnz     2f
        cmp     al, 12                  # twelve o'clock is the hour zero
        jne     3f
        xor     eax, eax
3:      test    dl, AFTERNOON
        jz      2f
        add     eax, 12
2:      mov     [hours], eax
        mov     al, RTC_SECONDS         # did it go on meanwhile?
        call    rtc_register
        call    rtc_number
        cmp     eax, [seconds]
        jne     rtc_read
        or      eax, 1                  # not zero
        ret
1:      xor     eax, eax
        ret

# In: AL register
# Out: EAX its value
rtc_register:
        out     CMOS, al
        in      al, CMOS + 1
        movzx   eax, al
        ret

# In: EAX a value of the clock's, in two decimal digits or not
# Out: EAX number. Changes ECX.
rtc_number:
        push    eax
        mov     al, RTC_B
        call    rtc_register
        mov     ecx, eax
        pop     eax
        test    cl, BINARY
        jnz     1f
        mov     ecx, eax
        shr     ecx, 4
        and     eax, 15
        imul    ecx, 10
        add     eax, ecx
1:      ret

# Adds the time of day to the line.
add_time:
        mov     eax, [hours]
        call    line_add_two_digits
        line_text ":"
        mov     eax, [minutes]
        call    line_add_two_digits
        line_text ":"
        mov     eax, [seconds]
        jmp     line_add_two_digits

# Draws those of the large digits that have changed.
digits_show:
        line_begin
        call    add_time
        xor     edi, edi                # the place
        mov     eax, DIGITS_X
1:      mov     ebx, [line_buffer + edi]
        and     ebx, 0xff
        mov     ecx, DIGIT_WIDTH
        cmp     bl, ':'
        jne     2f
        mov     ecx, COLON_WIDTH
2:      cmp     bl, [digits_shown + edi]
        je      3f
        mov     [digits_shown + edi], bl
        call    digit_draw
3:      add     eax, ecx
        inc     edi
        cmp     edi, 8
        jb      1b
        ret

# In: EAX left edge; EBX character; ECX width. Keeps everything.
digit_draw:
        pushad
        lea     esi, [ebx - '0']        # the colon follows the nine, here and in ASCII
        imul    esi, DIGIT_WIDTH / 2 * DIGIT_HEIGHT
        add     esi, offset large_digits
        mov     edx, DIGITS_Y
        mov     ebx, DIGIT_HEIGHT
        call    surface_touch
        pushad
        mov     ebp, offset style_bright
        mov     ebx, ecx
        shr     ebx, 1
        mov     ecx, DIGIT_HEIGHT
        call    bitmap_draw
        popad
        call    surface_show
        popad
        ret

# Shows how long the guest runs.
running_show:
        line_begin
        mov     eax, [running]
        xor     edx, edx
        mov     ebx, 60
        div     ebx
        push    edx
        xor     edx, edx
        div     ebx
        push    edx
        call    line_add_decimal
        line_text ":"
        pop     eax
        call    line_add_two_digits
        line_text ":"
        pop     eax
        call    line_add_two_digits
        mov     eax, RUNNING_X
        mov     edx, RUNNING_Y
        mov     ecx, CLOCK_VALUE_WIDTH
        mov     ebp, offset style_bright
        jmp     text_field

        .bss
        .balign 4
ticks_done:
        .space  4
# Cycles of the timer since the last whole second
fraction:
        .space  4
# Seconds since the start
running:
        .space  4
hours:  .space  4
minutes:
        .space  4
seconds:
        .space  4
digits_shown:
        .space  8
power_poll_due:
        .space  1
