package slowproxy

import "io"

// pacedBody is a request's body that is counted and slowed down on its way to the server.
type pacedBody struct {
	io.ReadCloser
	x      *exchange
	stream *pacer
}

// Read reads at the pace of the settings.
func (b *pacedBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p[:min(len(p), chunk)])
	b.x.pace(b.stream, n)
	b.x.in.Add(int64(n))
	return n, err
}

// lookAhead reads a body in chunks and knows of each whether it is the last.
type lookAhead struct {
	r     io.Reader
	ahead []byte // the chunk that was read but not returned: its first n bytes
	n     int
	err   error // what came with it
	spare []byte
}

func newLookAhead(r io.Reader) *lookAhead {
	l := &lookAhead{r: r, ahead: make([]byte, chunk), spare: make([]byte, chunk)}
	l.n, l.err = readSome(r, l.ahead)
	return l
}

// next returns the next chunk, which is valid until the call after. After the last one, or an error, it must not be
// called again.
func (l *lookAhead) next() (data []byte, last bool, err error) {
	data, err = l.ahead[:l.n], l.err
	switch err {
	case nil:
		l.ahead, l.spare = l.spare, l.ahead
		l.n, l.err = readSome(l.r, l.ahead)
		return data, l.n == 0 && l.err == io.EOF, nil
	case io.EOF:
		return data, true, nil
	}
	return data, false, err
}

// readSome reads into p, and again while nothing came and nothing is wrong.
func readSome(r io.Reader, p []byte) (n int, err error) {
	for n == 0 && err == nil {
		n, err = r.Read(p)
	}
	return n, err
}
