# The guest that tests the monitor without the kernel (tests/svm).
SVM_GUEST_FLAGS := -std=gnu11 -O1 -g -I. $(CFLAGS_WARN) -ffreestanding -fPIE -fvisibility=hidden -mcmodel=small \
    -mgeneral-regs-only -mno-red-zone -fno-stack-protector -fcf-protection=none -fno-asynchronous-unwind-tables
.PHONY: svm-guest
svm-guest: $(B)/svm/guest
$(B)/svm/guest: tests/svm/guests/guest.c tests/svm/guests/start.S tests/svm/guests/guest.ld abi/boot.h abi/layout.h
	@mkdir -p $(@D)
	$(CC) $(SVM_GUEST_FLAGS) -nostdlib -fuse-ld=lld -static-pie -Wl,--no-dynamic-linker -Wl,-z,norelro -Wl,-z,max-page-size=4096 \
	    -Wl,--build-id=none -T tests/svm/guests/guest.ld -o $@ tests/svm/guests/guest.c tests/svm/guests/start.S
