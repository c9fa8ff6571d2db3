package starlib

// dataWords are the names that reach data: ds, topics, stream, agg.
func dataWords() []Word { return nil }

// dataTypes are the types of values that those give.
func dataTypes() []*Methods { return nil }
