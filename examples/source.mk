# SPDX-License-Identifier: ISC
# For the examples that are built from Debian's source packages: fetches and unpacks the original tarball
# into build/, where the building happens. The sources themselves are not changed.
#   PACKAGE, VERSION, SHA256     which (tools/fetch-source.sh)
#   SRC                          then is the folder of the sources
TOP := $(abspath $(dir $(lastword $(MAKEFILE_LIST)))..)
CC := $(TOP)/build/bin/lith-cc
CXX := $(TOP)/build/bin/lith-c++
# For programs that run while building.
HOSTCC := gcc
# Their makefiles rely on make's built-in rules, which ours switch off for every make below.
SUBMAKE = env -u MAKEFLAGS -u MFLAGS $(firstword $(MAKE)) -s -j$(shell nproc)
WORK := $(TOP)/build/examples/$(NAME)
TAR := $(TOP)/build/src/$(PACKAGE)_$(VERSION).orig.tar
SRC := $(WORK)/src
# What a program made by lith-cc depends on beside its sources.
LIBS := $(CC) $(wildcard $(TOP)/build/lib/*.a $(TOP)/build/lib/link.ld)

.DEFAULT_GOAL := $(WORK)/$(NAME)
$(TAR):
	$(TOP)/tools/fetch-source.sh $(PACKAGE) $(VERSION) $(SHA256) $@
$(SRC)/.unpacked: | $(TAR)
	rm -rf $(SRC)
	mkdir -p $(SRC)
	tar -xf $(TAR) -C $(SRC) --strip-components=1 $(EXCLUDE:%=--exclude='%')
	touch $@
.PHONY: clean
clean:
	rm -rf $(WORK)
