// The page to chat goes here.
