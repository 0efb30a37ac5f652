package stoppable

import (
	"errors"
	"testing"
)

// module is (import "m" "tick" (func)) (global (mut i32) (i32.const 7)) (func (loop (br 0))), each section as it is written.
func module(code ...byte) []byte {
	out := append([]byte{}, magic...)
	out = appendSection(out, 1, []byte{1, 0x60, 0, 0})
	imports := []byte{2}
	imports = append(appendName(appendName(imports, "m"), "other"), kindFunction, 0)
	imports = append(appendName(appendName(imports, "m"), "tick"), kindFunction, 0)
	out = appendSection(out, importSection, imports)
	out = appendSection(out, 3, []byte{1, 0})
	out = appendSection(out, globalSection, []byte{1, typeI32, 1, opI32Const, 7, opEnd})
	body := append([]byte{0}, code...)
	return appendSection(out, codeSection, append([]byte{1, byte(len(body))}, body...))
}

func TestRewrite(t *testing.T) {
	t.Parallel()
	wasm, err := Rewrite(module(opLoop, blockEmpty, opBr, 0, opEnd, opEnd), "m", "tick")
	if err != nil {
		t.Fatal(err)
	}
	want := append([]byte{}, magic...)
	want = append(want, module()[len(magic):len(magic)+len(appendSection(nil, 1, []byte{1, 0x60, 0, 0}))]...)
	if string(wasm[:len(want)]) != string(want) {
		t.Errorf("the types have changed: %x", wasm)
	}
	code := section(t, wasm, codeSection)
	check := []byte{
		opGlobalGet, 1, opI32Const, 1, opI32Sub, opGlobalSet, 1, opGlobalGet, 1, opI32Eqz, opIf, blockEmpty,
		opCall, 1, opI32Const, 0xa0, 0x9c, 1, opGlobalSet, 1, opEnd,
	}
	body := append(append([]byte{0, opLoop, blockEmpty}, check...), opBr, 0, opEnd, opEnd)
	if got, want := string(code), string(append([]byte{1, byte(len(body))}, body...)); got != want {
		t.Errorf("code\n%x, want\n%x", got, want)
	}
	if got, want := string(section(t, wasm, globalSection)), string([]byte{2, typeI32, 1, opI32Const, 7, opEnd, typeI32, 1, opI32Const, 0xa0, 0x9c, 1, opEnd}); got != want {
		t.Errorf("globals\n%x, want\n%x", got, want)
	}
	if !Is(wasm) || Is(module()) {
		t.Error("Is does not tell")
	}
	if _, err := Rewrite(wasm, "m", "tick"); !errors.Is(err, ErrFormat) {
		t.Errorf("twice: %v", err)
	}
}

// TestRewrite_Immediates: what follows instructions is not taken for a loop, and one behind it is found.
func TestRewrite_Immediates(t *testing.T) {
	t.Parallel()
	for name, code := range map[string][]byte{
		"a constant":          {opI32Const, 3, 0x1a},
		"a long constant":     {opI64Const, 0x83, 0x83, 0x83, 0x83, 0x83, 0x83, 0x83, 0x83, 0x83, 0x7f, 0x1a},
		"floats":              {opF32Const, 3, 3, 3, 3, 0x1a, opF64Const, 3, 3, 3, 3, 3, 3, 3, 3, 0x1a},
		"a load":              {opI32Load, 3, 3, 0x1a},
		"a table of branches": {opBrTable, 3, 3, 3, 3, 3},
		"calls":               {opCall, 3, opCallIndirect, 3, 3},
		"a typed select":      {opSelectTyped, 1, typeI32},
		"locals":              {0x20, 3, 0x21, 3, 0x22, 3, 0x23, 3, 0x24, 3},
		"memory":              {opMemorySize, 0, opMemoryGrow, 0, opExtended, 10, 3, 3, opExtended, 11, 3, opExtended, 3},
		"references":          {opRefNull, 0x70, opRefIsNull, opRefFunc, 3},
	} {
		wasm, err := Rewrite(module(append(code, opLoop, blockEmpty, opEnd, opEnd)...), "m", "tick")
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if got, want := len(section(t, wasm, codeSection)), 3+len(code)+4+21; got != want {
			t.Errorf("%s: %d bytes of code, want %d", name, got, want)
		}
	}
}

func TestRewrite_Refuses(t *testing.T) {
	t.Parallel()
	good := module(opLoop, blockEmpty, opEnd, opEnd)
	for name, wasm := range map[string][]byte{
		"nothing":               nil,
		"text":                  []byte("hello, world"),
		"a cut one":             good[:len(good)-3],
		"a vector":              module(0xfd, 0, opEnd),
		"an unknown one":        module(0x06, opEnd),
		"a number that goes on": module(opI32Const, 0x80, 0x80),
	} {
		if _, err := Rewrite(wasm, "m", "tick"); !errors.Is(err, ErrFormat) {
			t.Errorf("%s: got %v, want ErrFormat", name, err)
		}
	}
	if _, err := Rewrite(good, "m", "tock"); !errors.Is(err, ErrFormat) {
		t.Errorf("without the import: %v", err)
	}
}

// FuzzRewrite: whatever the bytes are, it ends with an error or a module.
func FuzzRewrite(f *testing.F) {
	f.Add(module(opLoop, blockEmpty, opBr, 0, opEnd, opEnd))
	f.Add(module(opBrTable, 0xff, 0xff, 0xff, 0xff, 0x0f, opEnd))
	f.Fuzz(func(t *testing.T, wasm []byte) {
		if out, err := Rewrite(wasm, "m", "tick"); err == nil && !Is(out) {
			t.Error("it says that it is not stoppable")
		}
	})
}

func section(t *testing.T, wasm []byte, want byte) (found []byte) {
	t.Helper()
	err := sections(wasm, func(id byte, body []byte) error {
		if id == want {
			found = body
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}
