package sample

import (
	"math/rand/v2"
	"sync"
)

// words is a vocabulary of made-up words. Text draws from it unevenly, as languages do.
type words []string

func newWords(rng *rand.Rand) words {
	w := make(words, 4000)
	for i := range w {
		word := make([]byte, 2+rng.IntN(9))
		for j := range word {
			word[j] = "etaoinshrdlucmfwypvbgkjqxz"[min(rng.IntN(26), rng.IntN(26))]
		}
		w[i] = string(word)
	}
	return w
}

// touchWords is the vocabulary of Touch, which does not know the seed of the sample.
var touchWords = sync.OnceValue(func() words { return newWords(rand.New(rand.NewPCG(1, 2))) })

// append adds words drawn with rng to buf until they are at least n bytes.
func (w words) append(rng *rand.Rand, buf []byte, n int) []byte {
	for start := len(buf); len(buf)-start < n; {
		if len(buf) > start {
			buf = append(buf, ' ')
		}
		f := rng.Float64()
		buf = append(buf, w[int(f*f*f*float64(len(w)))]...)
	}
	return buf
}
