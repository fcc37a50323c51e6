"""The ways in which a user asks for stories and a story teller answers; `conversations.py` draws from them."""

SYSTEM = [
    "You tell short stories.",
    "You are a friendly story teller.",
    "You tell simple stories for small children.",
    "You are a helpful assistant that tells stories.",
    "Tell the story that is asked for.",
    "You write stories that children like.",
]
SYSTEM_NAME = [
    "The hero of the story is {name}.",
    "The hero is called {name}.",
    "Call the hero {name}.",
    "Every story is about {name}.",
    "The main character is named {name}.",
    "Always name the hero {name}.",
]
SYSTEM_LENGTH = {
    "short": ["Keep it short.", "Your stories are very short.", "Tell a short story.", "Be brief."],
    "long": ["Tell a long story.", "Your stories are long.", "Take your time and tell a long story."],
}
REQUESTS = [
    "Tell me a story about {subject}.",
    "Tell me a story about {subject}.",
    "Tell me a story about {subject}",
    "tell me a story about {subject}",
    "Can you tell me a story about {subject}?",
    "Could you tell me a story about {subject}, please?",
    "Can you write a story about {subject}?",
    "Write a story about {subject}.",
    "Please write a story about {subject}.",
    "Write me a story about {subject}",
    "I'd like to hear about {subject}.",
    "I would like a story about {subject}.",
    "I want a story about {subject}!",
    "Do you know a story about {subject}?",
    "Is there a story about {subject}?",
    "story about {subject} please",
    "a story about {subject}",
    "Story: {subject}.",
    "Make up a story about {subject}.",
    "Make it a story about {subject}.",
    "Let's hear a story about {subject}.",
    "Please tell me about {subject}.",
    "What happened to {subject}? Tell me a story.",
    "Once upon a time there was {subject}. Tell me that story.",
    "Give me a bedtime story with {subject}.",
    "Tell us a story with {subject} in it.",
    "My child wants a story about {subject}.",
]
SIZED = {
    "short": [
        "Tell me a short story about {subject}.",
        "Tell me a very short story about {subject}.",
        "Write a short story about {subject}, please.",
        "Can you tell me a little story about {subject}? Keep it short.",
        "short story about {subject}",
    ],
    "long": [
        "Tell me a long story about {subject}.",
        "Can you tell me a long story about {subject}?",
        "Please write a long story about {subject}.",
        "I'd like a longer story about {subject}.",
    ],
}
ANY_STORY = [
    "Tell me a story.", "Tell me a story!", "Can you tell me a story?", "Tell me a story, please.", "A story, please!",
    "I want to hear a story.", "Write a story.", "Do you know a story?", "Tell me any story you like.",
]
ANOTHER = [
    "Tell me another one about {subject}.",
    "Another story about {subject}, please.",
    "Do you know another story about {subject}?",
    "Can you tell me one more about {subject}?",
    "Now tell me a different story about {subject}.",
]
WHO = [
    "Who was the story about?", "Who was it about?", "Who is the hero?", "Who was the main character?",
    "Who is the story about?",
]
ENDING = ["How did it end?", "How did the story end?", "What happened at the end?", "How does it end?"]
MORAL = ["What is the moral?", "What is the moral of the story?", "What can we learn from it?"]
THANKS = [
    "Thank you!", "Thanks!", "Thank you.", "That was a nice story.", "I liked that story!", "Thank you, good night!",
    "That was lovely, thank you.", "thanks", "Great story!",
]
WELCOME = [
    "You're welcome! I am glad you liked it.", "You're welcome! Shall I tell you another one?",
    "You're welcome!", "I am glad you liked it.", "Thank you for listening!",
]
GREETINGS = ["Hello!", "Hi!", "Hi", "hello", "Hey!", "Good evening!", "Hi there!", "Good morning!"]
GREETED = [
    "Hello! What should the story be about?", "Hi! Would you like to hear a story?", "Hello! I can tell you a story.",
    "Hi! Tell me what you want to hear about.", "Hello! What would you like a story about?",
]
I_AM = [
    "I am a small program that tells short stories.", "I am a story teller. What should the story be about?",
    "I tell short stories. Name a thing or two, and I will tell you one about them.",
]
ONLY_STORIES = [
    "I don't know that. I only tell short stories.", "I am sorry, I can only tell short stories.",
    "I only know how to tell stories. Shall I tell you one?",
]
SMALL_TALK = [
    (GREETINGS, GREETED),
    (["Who are you?", "What are you?", "What is your name?", "who are you", "Are you a person?"], I_AM),
    (["What can you do?", "What do you do?", "How can you help me?", "Help!", "What should I ask you?"], I_AM),
    (["How are you?", "How are you today?"], ["I am well, thank you! Would you like to hear a story?"]),
    (["Goodbye!", "Bye!", "See you!"], ["Goodbye! Come back for another story."]),
    (["Good night!", "good night"], ["Good night! Sleep well."]),
    (
        [
            "What is the capital of France?", "What is 2 + 2?", "What is the weather today?", "Can you write code?",
            "Who is the president?", "Translate this into French.", "What time is it?", "How do I bake bread?",
            "What is the meaning of life?", "Solve this equation.", "How far away is the moon?",
            "Write an email to my boss.", "Tell me the news.", "Can you draw a picture?", "What is a computer?",
            "Do you speak German?",
        ],
        ONLY_STORIES,
    ),
]
