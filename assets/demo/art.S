# What the build has painted, as it is read by picture.S, text.S, clock.S and pointer.S.

        .section .rodata

        .macro  data name, file
        .balign 4
        .globl  \name
\name:  .incbin "\file"
        .endm

        data    dictionary, dictionary.bin
        data    small_font, small_font.bin
        data    large_digits, large_digits.bin
        data    pointer_pixels, pointer.bin
        data    picture_screen, screen.bin
        data    picture_beep_off, sprite_beep_off.bin
        data    picture_beep_on, sprite_beep_on.bin
        data    picture_left_off, sprite_left_off.bin
        data    picture_left_on, sprite_left_on.bin
        data    picture_middle_off, sprite_middle_off.bin
        data    picture_middle_on, sprite_middle_on.bin
        data    picture_right_off, sprite_right_off.bin
        data    picture_right_on, sprite_right_on.bin
