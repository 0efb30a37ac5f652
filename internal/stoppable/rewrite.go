package stoppable

import (
	"bytes"
	"errors"
	"fmt"
)

// ErrFormat: the bytes are no module that Rewrite knows.
var ErrFormat = errors.New("not a WebAssembly module of the kind that can be made stoppable")

// Turns is how many loops go by between two calls: a fraction of a millisecond.
const Turns = 20_000

// mark is the name of the custom section of modules that were rewritten.
const mark = "litefs-s3.stoppable"

var magic = []byte("\x00asm\x01\x00\x00\x00")

// Rewrite returns the module with a call of an import, which takes and returns nothing, every so many loops.
func Rewrite(module []byte, importModule, importName string) ([]byte, error) {
	if Is(module) {
		return nil, fmt.Errorf("%w: it is stoppable already", ErrFormat)
	}
	var l layout
	if err := l.read(module, importModule, importName); err != nil {
		return nil, err
	}
	out := make([]byte, 0, len(module)+len(module)/8)
	out = append(out, magic...)
	err := sections(module, func(id byte, body []byte) (err error) {
		switch id {
		case globalSection:
			body = addGlobal(body)
		case codeSection:
			body, err = rewriteCode(body, l.check())
		}
		out = appendSection(out, id, body)
		return err
	})
	if err != nil {
		return nil, err
	}
	return appendSection(out, customSection, marking()), nil
}

// Is reports whether Rewrite has made the module.
func Is(module []byte) bool {
	want, found := marking(), false
	err := sections(module, func(id byte, body []byte) error {
		found = found || id == customSection && bytes.Equal(body, want)
		return nil
	})
	return err == nil && found
}

// marking is the custom section: its name, and a byte, for wazero takes none that is empty.
func marking() []byte { return append(appendName(nil, mark), 1) }

// layout is what has to be known of a module before its code can be changed.
type layout struct {
	function uint64 // number of the import that is called
	global   uint64 // number of the global that is added
}

// check is: count down, and at zero call the host and begin again.
func (l *layout) check() []byte {
	b := appendUint([]byte{opGlobalGet}, l.global)
	b = append(b, opI32Const, 1, opI32Sub)
	b = appendUint(append(b, opGlobalSet), l.global)
	b = appendUint(append(b, opGlobalGet), l.global)
	b = append(b, opI32Eqz, opIf, blockEmpty)
	b = appendUint(append(b, opCall), l.function)
	b = appendInt(append(b, opI32Const), Turns)
	b = appendUint(append(b, opGlobalSet), l.global)
	return append(b, opEnd)
}

// read finds the import, and how many globals there are.
func (l *layout) read(module []byte, importModule, importName string) error {
	found, globals := false, false
	err := sections(module, func(id byte, body []byte) error {
		r := reader{b: body}
		switch id {
		case importSection:
			functions := uint64(0)
			for range r.uint() {
				from, name := string(r.take(r.uint())), string(r.take(r.uint()))
				kind := r.byte()
				if from == importModule && name == importName && kind == kindFunction {
					l.function, found = functions, true
				}
				switch kind {
				case kindFunction:
					functions++
				case kindGlobal:
					l.global++
				}
				r.importType(kind)
				if r.err != nil {
					return r.err
				}
			}
		case globalSection:
			l.global += r.uint()
			globals = true
		}
		return r.err
	})
	switch {
	case err != nil:
		return err
	case !found:
		return fmt.Errorf("%w: it does not import %s from %s", ErrFormat, importName, importModule)
	case !globals:
		return fmt.Errorf("%w: it has no globals", ErrFormat)
	}
	return nil
}

// addGlobal adds a variable that begins at Turns.
func addGlobal(body []byte) []byte {
	r := reader{b: body}
	out := appendUint(nil, r.uint()+1)
	out = append(append(out, r.b...), typeI32, 1, opI32Const)
	return append(appendInt(out, Turns), opEnd)
}

// sections calls fn with each section of a module.
func sections(module []byte, fn func(id byte, body []byte) error) error {
	rest, ok := bytes.CutPrefix(module, magic)
	if !ok {
		return fmt.Errorf("%w: it does not begin as one", ErrFormat)
	}
	r := reader{b: rest}
	for len(r.b) > 0 {
		id := r.byte()
		body := r.take(r.uint())
		if r.err != nil {
			return r.err
		}
		if err := fn(id, body); err != nil {
			return err
		}
	}
	return nil
}

func appendSection(out []byte, id byte, body []byte) []byte {
	return append(appendUint(append(out, id), uint64(len(body))), body...)
}

func appendName(out []byte, name string) []byte {
	return append(appendUint(out, uint64(len(name))), name...)
}

func rewriteCode(body, check []byte) ([]byte, error) {
	r := reader{b: body}
	n := r.uint()
	out := appendUint(make([]byte, 0, len(body)+len(body)/8), n)
	var function []byte
	for i := range n {
		code := r.take(r.uint())
		if r.err != nil {
			return nil, r.err
		}
		var err error
		if function, err = rewriteFunction(function[:0], code, check); err != nil {
			return nil, fmt.Errorf("function %d: %w", i, err)
		}
		out = append(appendUint(out, uint64(len(function))), function...)
	}
	if len(r.b) > 0 {
		return nil, fmt.Errorf("%w: bytes follow the last function", ErrFormat)
	}
	return out, nil
}

// rewriteFunction appends a function's locals and code to out, with check after each loop begins. Branches count blocks outwards, and
// check leaves none open, so they stay as they are.
func rewriteFunction(out, code, check []byte) ([]byte, error) {
	r := reader{b: code}
	for range r.uint() {
		r.uint() // so many locals
		r.byte() // of this type
		if r.err != nil {
			return nil, r.err
		}
	}
	kept := 0 // bytes of code that are in out
	for len(r.b) > 0 {
		op := r.byte()
		r.immediates(op)
		if r.err != nil {
			return nil, r.err
		}
		if op == opLoop {
			at := len(code) - len(r.b)
			out = append(append(out, code[kept:at]...), check...)
			kept = at
		}
	}
	return append(out, code[kept:]...), r.err
}
