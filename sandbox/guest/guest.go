package guest

import (
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

const (
	// Name is that of the module's file.
	Name = "litefs-s3.wasm.gz"
	// Env names the environment variable that says where the file is.
	Env = "LITEFS_S3_SANDBOX_MODULE"
)

// ErrMissing: there is no module.
var ErrMissing = errors.New(`no module is in this program, ` + Env + ` names none, and there is no ` + Name + ` beside the program; ` +
	`"make sandbox" in the source builds it, and programs built with -tags sandbox_embed have it in them`)

// Load returns the module.
func Load() ([]byte, error) {
	if embedded != nil {
		return Unpack(embedded)
	}
	if path := os.Getenv(Env); path != "" {
		return loadFile(path)
	}
	program, err := os.Executable()
	if err != nil {
		return nil, ErrMissing
	}
	wasm, err := loadFile(filepath.Join(filepath.Dir(program), Name))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, ErrMissing
	}
	return wasm, err
}

func loadFile(path string) ([]byte, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	wasm, err := Unpack(b)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return wasm, nil
}

// Unpack returns the module in b, which may be compressed.
func Unpack(b []byte) ([]byte, error) {
	if !bytes.HasPrefix(b, []byte("\x1f\x8b")) {
		return b, nil
	}
	z, err := gzip.NewReader(bytes.NewReader(b))
	if err != nil {
		return nil, err
	}
	return io.ReadAll(z)
}
