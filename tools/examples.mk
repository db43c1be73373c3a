# The examples, as tests and benchmarks use them: build/examples/NAME/NAME. The ones from Debian's sources
# have makefiles of their own (examples/source.mk); the others are linked here with their own, too.
EXAMPLES := hello http lua sqlite redis hello-c++ lzip
EXAMPLES_OWN := hello http hello-c++
example-hello-c++ example-lzip: cxx
.PHONY: examples $(EXAMPLES:%=example-%)
examples: $(EXAMPLES:%=example-%)
$(EXAMPLES:%=example-%): example-%: all
	@mkdir -p $(B)/examples/$*
	@+$(MAKE) -s --no-print-directory -C examples/$* $(if $(filter $(EXAMPLES_OWN),$*),OUT=$(abspath $(B))/examples/$*/$*) \
	    >$(B)/examples/$*/log 2>&1 || { tail -n 20 $(B)/examples/$*/log; exit 1; }
