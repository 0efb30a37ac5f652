package sample

import "math/rand/v2"

// words is a vocabulary of made-up words. Text draws from it unevenly, as languages do.
type words struct {
	rng  *rand.Rand
	list []string
}

func newWords(rng *rand.Rand) *words {
	w := &words{rng: rng, list: make([]string, 4000)}
	for i := range w.list {
		word := make([]byte, 2+rng.IntN(9))
		for j := range word {
			word[j] = "etaoinshrdlucmfwypvbgkjqxz"[min(rng.IntN(26), rng.IntN(26))]
		}
		w.list[i] = string(word)
	}
	return w
}

// append adds words to buf until they are at least n bytes.
func (w *words) append(buf []byte, n int) []byte {
	for start := len(buf); len(buf)-start < n; {
		if len(buf) > start {
			buf = append(buf, ' ')
		}
		f := w.rng.Float64()
		buf = append(buf, w.list[int(f*f*f*float64(len(w.list)))]...)
	}
	return buf
}
