package event

import "sync"

// Recorder keeps what a dry run would have published. Its Record is for Options.DryRun.
type Recorder struct {
	mu       sync.Mutex
	messages []Message
}

// Record keeps a message.
func (r *Recorder) Record(m Message) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.messages = append(r.messages, m)
}

// Messages returns what was recorded so far, in order.
func (r *Recorder) Messages() []Message {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]Message(nil), r.messages...)
}
