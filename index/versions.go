package index

// versions says as of which TXID the pages of a segment are known, where that is not the segment's own MaxTXID:
// compaction moved them, it did not make them. Many pages have the same TXID, so each TXID is stored once.
type versions struct {
	rest  TXID // all other pages
	pages pageList
	codes []uint32 // number in known, of the page with the same number
	known []TXID
}

func (v *versions) at(pgno uint32) TXID {
	if i, ok := v.pages.search(pgno); ok {
		return v.known[v.codes[i]]
	}
	return v.rest
}

// bytes is the memory that they take.
func (v *versions) bytes() int64 { return v.pages.bytes() + int64(4*cap(v.codes)+8*cap(v.known)) }

// versionsMaker makes versions out of pages in ascending order.
type versionsMaker struct {
	v     versions
	codes map[TXID]uint32
}

func newVersions(rest TXID) *versionsMaker {
	return &versionsMaker{v: versions{rest: rest}, codes: map[TXID]uint32{}}
}

func (m *versionsMaker) set(pgno uint32, txid TXID) {
	if txid == m.v.rest {
		return
	}
	code, ok := m.codes[txid]
	if !ok {
		code = uint32(len(m.v.known))
		m.codes[txid] = code
		m.v.known = append(m.v.known, txid)
	}
	m.v.pages.add(pgno)
	m.v.codes = append(m.v.codes, code)
}

// done returns what was set.
func (m *versionsMaker) done() *versions {
	m.v.pages.trim()
	m.v.codes, m.v.known = trimmed(m.v.codes), trimmed(m.v.known)
	return &m.v
}
