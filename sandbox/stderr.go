package sandbox

// stderr keeps the first part of what a module writes to standard error: why the Go program in it has ended.
type stderr struct{ b []byte }

const stderrSize = 2 << 10

func (s *stderr) Write(p []byte) (int, error) {
	s.b = append(s.b, p[:min(len(p), stderrSize-len(s.b))]...)
	return len(p), nil
}

func (s *stderr) text() string { return string(s.b) }
